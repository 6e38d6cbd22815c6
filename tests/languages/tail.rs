//! `feed tail`, as a person and as a script use it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use harness::tap::{Held, Tap};
use harness::{Backend, DEADLINE, built};
use serde_json::Value;

use crate::feed::{Running, database, publish, run, serve, shows};

harness::on_both_backends! {
    a_script_reads_all_events_once
    each_event_is_one_line_of_json
    events_are_shown_as_they_come_also_after_an_interruption
}

async fn a_script_reads_all_events_once(backend: Backend) {
    let database = database(backend).await;
    let feed = serve(&database).await;
    for order in 1..=250 {
        publish(
            &database,
            &format!("order/{order}"),
            &format!("{{\"id\": {order}}}"),
        )
        .await;
    }
    let other = "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.painted', 'order/7', '{}')";
    database.execute(other).await;
    let url = feed.client.url("feed");
    shows(&feed, 251).await;
    let (code, out, err) = run(&["tail", &url, "--after", "start", "--until-now", "--json"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let events: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sequences: Vec<i64> = events
        .iter()
        .map(|event| event["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(sequences, (1..=251).collect::<Vec<_>>());
    assert_eq!(events[16]["data"]["id"], 17);

    let lines = async |arguments: &[&str]| {
        let all = [&["tail", url.as_str(), "--until-now"], arguments].concat();
        let (code, out, err) = run(&all).await;
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[]).await.len(), 10);
    let newest = lines(&["--last", "2", "--data"]).await;
    assert!(
        newest[0].contains("order.placed  order/250  {\"id\": 250}"),
        "{newest:?}"
    );
    // Of those that it shows.
    let placed = lines(&["--last", "1", "--type", "order.placed"]).await;
    assert!(
        placed.len() == 1 && placed[0].contains("order/250"),
        "{placed:?}"
    );
    assert_eq!(
        lines(&["--after", "start", "--type", "order.painted"])
            .await
            .len(),
        1
    );
    assert_eq!(
        lines(&["--after", "start", "--subject", "order/7"])
            .await
            .len(),
        2
    );
    // A cursor, as documents have it.
    let head = feed.client.get("feed?after=start", &[]).await;
    let page = feed.client.get(head.header("location"), &[]).await;
    let cursor = &page.elements("event:cursor")[0];
    assert_eq!(lines(&["--after", cursor]).await.len(), 151);

    for (arguments, expected) in [
        (&["--after", "nonsense"][..], 2),
        // Of another epoch.
        (
            &["--after", "bbcdefgh.1.0190b9ab000070008000000000000001"],
            1,
        ),
    ] {
        let all = [&["tail", url.as_str(), "--until-now"], arguments].concat();
        let (code, _, err) = run(&all).await;
        assert_eq!(code, expected, "{arguments:?}: {err}");
        assert!(!err.is_empty());
    }
    let (code, _, err) = run(&["tail", "http://127.0.0.1:9/feed", "--until-now"]).await;
    assert_eq!(code, 2, "{err}");
}

/// However its publisher has written it.
async fn each_event_is_one_line_of_json(backend: Backend) {
    let database = database(backend).await;
    let feed = serve(&database).await;
    let pretty = "{\n  \"total\": 1.10,\n  \"text\": \" a\u{9b}b : \\\\\"\n}";
    publish(&database, "order/1", pretty).await;
    shows(&feed, 1).await;
    let url = feed.client.url("feed");
    let (code, out, _) = run(&["tail", &url, "--until-now", "--json"]).await;
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
    let data = "\"data\":{\"total\":1.10,\"text\":\" a\\u009bb : \\\\\"}}\n";
    assert!(out.ends_with(data), "{out}");
    let (code, _, err) = run(&["tail", &url, "--until-now", "--type", ""]).await;
    assert!(
        code == 2 && err.contains("no event has such a type"),
        "{err}"
    );
}

/// A `tail` whose lines are read as they come.
struct Lines {
    child: Child,
    lines: Receiver<String>,
}

impl Lines {
    fn of(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        tokio::task::block_in_place(|| self.lines.recv_timeout(DEADLINE).unwrap())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn events_are_shown_as_they_come_also_after_an_interruption(backend: Backend) {
    let database = database(backend).await;
    let mut feed: Running = serve(&database).await;
    publish(&database, "order/1", "{}").await;
    let tail = Lines::of(built("feed").args(["tail", &feed.client.url("feed")]));
    assert!(tail.next().ends_with("order.placed  order/1"));
    publish(&database, "order/2", "{}").await;
    assert!(tail.next().ends_with("order/2"));
    feed.process.kill();
    publish(&database, "order/3", "{}").await;
    feed.restart().await;
    assert!(tail.next().ends_with("order/3"));
    // An answer that is late is shown once.
    let tap = Tap::before(&feed.client.url("")).await;
    let through = Lines::of(built("feed").args(["tail", &tap.url("feed"), "--after", "start"]));
    for order in 1..=3 {
        assert!(through.next().ends_with(&format!("order/{order}")));
    }
    tap.hold(Held::Answer, "/feed");
    publish(&database, "order/4", "{}").await;
    tap.waiting().await;
    tap.open();
    assert!(through.next().ends_with("order/4"));
    assert!(tail.next().ends_with("order/4"));
}
