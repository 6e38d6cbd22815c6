//! Loops of curl, as in a shell, and walks over the pages, while twenty creators place orders: no
//! event is missed, and none comes twice where the reader remembers a tag.

use std::sync::Arc;

use harness::programs::{available, program};
use harness::{Backend, Client, Process, Service, new_order, until};
use tokio::sync::Semaphore;

use crate::publisher::{after, link, newest, place, sequences, started};

harness::on_both_backends! {
    readers_of_every_kind_get_every_event_while_twenty_create
}

const CREATORS: usize = 20;

/// Orders of each creator.
const ORDERS: usize = 25;

/// How far a loop may fall behind while orders are placed. The head shows a hundred events at
/// least: a reader that polls less often continues through `?after=` or the pages.
const BEHIND: usize = 70;

/// The whole reader: one request to one address, which waits for what is new.
const BY_TAG: &str = r#"
while [ ! -e stop ]; do
    curl -fsS --etag-compare seen --etag-save seen -H 'A-IM: feed' -H 'Prefer: wait=20' "$FEED" >> events
done"#;

/// The oldest way: the file's own date.
const BY_DATE: &str = r#"
while [ ! -e stop ]; do
    curl -fsS -z feed.xml -R -o feed.xml "$FEED" && grep -o '<event:sequence>[0-9]*<' feed.xml >> events
    sleep 0.1
done"#;

/// A shell that runs a loop in a directory of its own.
struct Loop {
    shell: Process,
    directory: tempfile::TempDir,
}

impl Loop {
    fn start(script: &str, feed: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The first comparison is with an empty file.
        std::fs::write(directory.path().join("seen"), "").unwrap();
        let mut shell = program("sh");
        shell
            .args(["-e", "-c", script])
            .current_dir(directory.path());
        let shell = Process::start_command("loop", &mut shell, &[("FEED", feed)], directory.path());
        Self { shell, directory }
    }

    /// The sequences that it has printed so far.
    fn seen(&self) -> Vec<usize> {
        let events = self.directory.path().join("events");
        sequences(&std::fs::read_to_string(events).unwrap_or_default())
    }

    /// Lets it end after the answer it waits for.
    fn stop(&self) {
        std::fs::write(self.directory.path().join("stop"), "").unwrap();
    }
}

async fn readers_of_every_kind_get_every_event_while_twenty_create(backend: Backend) {
    if !available(&["curl"]) {
        return;
    }
    let order = started(backend).await;
    place(&order, 1).await;
    let feed = order.client.url("feed");
    let mut by_tag = Loop::start(BY_TAG, &feed);
    let mut by_date = Loop::start(BY_DATE, &feed);
    let all: Vec<usize> = (1..=1 + CREATORS * ORDERS).collect();
    let (forward, walks, ()) = tokio::join!(
        forward(&order.client, all.len()),
        back(&order.client, all.len()),
        create(&order, [&by_tag, &by_date]),
    );
    assert!(forward == all, "catching up: {forward:?}");
    assert!(walks > 1, "no walk back met a feed that grows");
    until("the loop by tag has printed each event once", async || {
        let mut seen = by_tag.seen();
        seen.sort_unstable();
        (seen.len() >= all.len()).then(|| assert!(seen == all, "{seen:?}"))
    })
    .await;
    until("the loop by date has printed every event", async || {
        let seen = by_date.seen();
        all.iter().all(|event| seen.contains(event)).then_some(())
    })
    .await;

    // One more order wakes the loop that waits; both end without an error.
    by_tag.stop();
    by_date.stop();
    place(&order, 1).await;
    for each in [&mut by_tag, &mut by_date] {
        assert_eq!(each.shell.ended().await, Some(0), "{}", each.shell.log());
    }
    assert_eq!(by_tag.seen().last(), Some(&(all.len() + 1)));
}

/// Twenty clients place orders, as fast as the slower of the loops reads.
async fn create(order: &Service, loops: [&Loop; 2]) {
    let allowed = Arc::new(Semaphore::new(BEHIND));
    for _ in 0..CREATORS {
        let (client, allowed) = (order.client.clone(), Arc::clone(&allowed));
        tokio::spawn(async move {
            for _ in 0..ORDERS {
                allowed.acquire().await.unwrap().forget();
                let answer = client.post_json("orders", &new_order()).await.unwrap();
                assert_eq!(answer.status, 201, "{}", answer.body);
            }
        });
    }
    let mut read = 1;
    until("all orders are placed and read", async || {
        let newest = loops.iter().map(|each| each.seen().into_iter().max());
        let slowest = newest.min()??;
        allowed.add_permits(slowest - read);
        read = slowest;
        (read > CREATORS * ORDERS).then_some(())
    })
    .await;
}

/// Follows `?after=` from the first event until there are `count`.
async fn forward(client: &Client, count: usize) -> Vec<usize> {
    let (mut read, mut at) = (Vec::new(), "start".to_owned());
    until("catching up reaches the newest event", async || {
        let (new, next) = after(client, &at, &[]).await?;
        read.extend(new);
        at = next;
        (read.len() >= count).then_some(())
    })
    .await;
    read
}

/// Walks from the head over `prev-archive` to the first event, again and again, until the head
/// shows the last event; each walk meets each event of that moment once. Returns how many.
async fn back(client: &Client, count: usize) -> usize {
    let mut walks = 0;
    until("a walk back begins at the last event", async || {
        let mut document = client.get("feed", &[]).await;
        let mut met = sequences(&document.body);
        while let Some(page) = link(&document, "prev-archive") {
            document = client.get(&page, &[]).await;
            met.extend(sequences(&document.body));
        }
        let dense: Vec<usize> = (1..=met.len()).rev().collect();
        assert!(met == dense, "a hole, or an event twice: {met:?}");
        walks += 1;
        (met.len() >= count).then_some(())
    })
    .await;
    assert_eq!(newest(client).await, count);
    walks
}
