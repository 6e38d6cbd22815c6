//! What `feed deliver` keeps and prints of persons and of secrets.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Redirect;
use axum::routing::get;
use feed_core::http::is_control;
use harness::{Backend, serve as listen, tables, until};

use crate::deliver::Team;
use crate::feed::{Running, publish, run, run_with};

harness::on_both_backends! {
    an_erased_person_stays_in_no_event_that_is_kept
    a_value_that_does_not_fit_is_neither_logged_nor_stored
}

/// In neither the parked events, nor the copies of skipped ones, nor the reasons.
async fn an_erased_person_stays_in_no_event_that_is_kept(backend: Backend) {
    let team = Team::new(backend).await;
    let feed = team.feed.client.url("feed");
    let file = team.bill();
    let deliver = team
        .deliver(&[
            "--sql",
            &file,
            "--erased-by",
            "order.forgotten, order.erased",
        ])
        .await;
    let parked = async |count: i64| {
        until("they are parked", async || {
            let status = deliver.client.json("status").await?;
            (status["parked"] == count).then_some(())
        })
        .await;
    };
    let place = async |order: i64, rest: &str| {
        let data = format!("{{\"id\": {order}, \"cents\": 0{rest}}}");
        publish(&team.orders, &format!("order/{order}"), &data).await;
    };
    for order in 1..=3 {
        place(order, ", \"name\": \"Marie\"").await;
    }
    parked(3).await;
    let skip = ["skip", "order/2", "--reason", "a mistake"];
    let (code, out, err) = run(&team.arguments(&feed, &skip)).await;
    assert_eq!(code, 0, "{out} {err}");
    let kept = async || {
        let events = "SELECT subject || event FROM feed_parked UNION ALL SELECT subject || event FROM feed_undo";
        tables::texts(team.bills.url(), events).await
    };
    let with_name = async || {
        let kept = kept().await.into_iter();
        let mut kept: Vec<String> = kept.filter(|event| event.contains("Marie")).collect();
        kept.sort();
        kept
    };
    assert_eq!(with_name().await.len(), 3);
    // The reason of an earlier attempt may quote the data, in the words of the team's own SQL.
    let attempts = "UPDATE feed_attempt SET reason = 'Marie'";
    team.bills.execute(attempts).await;
    // Their own effect fails as well.
    for order in 1..=2 {
        let erased = format!(
            "INSERT INTO feed_outbox (event_type, subject, data)
             VALUES ('order.erased', 'order/{order}', '{{\"id\": {order}, \"cents\": 0}}')"
        );
        team.orders.execute(&erased).await;
    }
    until("the erasures have come", async || {
        let kept = kept().await.into_iter();
        let erasures = kept.filter(|event| event.contains("order.erased"));
        (erasures.count() == 2).then_some(())
    })
    .await;
    let left = with_name().await;
    assert!(
        left.len() == 1 && left[0].starts_with("order/3"),
        "{left:?}"
    );
    let (_, shown, _) = run(&team.arguments(&feed, &["events", "order/1", "--json"])).await;
    assert!(shown.contains("order.erased"), "{shown}");
    assert!(!shown.contains("Marie"), "{shown}");
    // An empty type would be that of no event.
    for (types, code) in [("", 0), ("order.erased,,x", 2)] {
        let variables = [("DELIVER_ERASED_BY", types)];
        let status = team.arguments(&feed, &["decisions"]);
        let (ended, out, err) = run_with(&variables, &status).await;
        assert_eq!(ended, code, "{types:?}: {out} {err}");
    }
}

/// The database quotes the value. It is of a person.
async fn a_value_that_does_not_fit_is_neither_logged_nor_stored(backend: Backend) {
    let team = Team::new(backend).await;
    let feed = team.feed.client.url("feed");
    let (sql, said) = match backend {
        Backend::Postgres => (
            "INSERT INTO bill (order_id) VALUES ((:data ->> 'name')::bigint)",
            "invalid input syntax for type bigint: \"…\" (SQLSTATE 22P02)",
        ),
        Backend::Sqlite => (
            "INSERT INTO bill (order_id) VALUES (json_extract('{}', :data ->> 'name'))",
            "bad JSON path: '…'",
        ),
    };
    let file = team.sql(sql);
    let deliver = team.deliver(&["--sql", &file]).await;
    let data = "{\"name\": \"Marie \\\"Mia\\\" Müller\"}";
    publish(&team.orders, "order/1", data).await;
    until("it is parked", async || {
        let status = deliver.client.json("status").await?;
        (status["parked"] == 1).then_some(())
    })
    .await;
    let stored = "SELECT reason FROM feed_parked UNION ALL SELECT reason FROM feed_attempt";
    let stored = tables::texts(team.bills.url(), stored).await.join("\n");
    let (_, shown, _) = run(&team.arguments(&feed, &["parked"])).await;
    for text in [&stored, &shown, &deliver.process.log()] {
        assert!(text.contains(said), "{text}");
        assert!(
            !text.contains("Marie") && !text.contains("Müller"),
            "{text}"
        );
    }
}

/// An id of a feed of others is a text of others.
#[tokio::test]
async fn what_a_feed_says_reaches_no_terminal_as_it_is() {
    let feed = "<feed xmlns='http://www.w3.org/2005/Atom'><id>urn:x</id><title/><updated>2026-01-01T00:00:00Z</updated>\
                <entry><id>urn:a\u{9b}31m\u{202e}</id><title/><updated>2026-01-01T00:00:00Z</updated>\
                <content>a</content></entry></feed>";
    let head = get(async move || ([(CONTENT_TYPE, "application/atom+xml")], feed));
    let url = listen(Router::new().route("/feed", head)).await + "/feed";
    let team = Team::new(Backend::Sqlite).await;
    let file = team.bill();
    let options = ["--sql", &file, "--type", "x", "--log-format", "json"];
    let deliver = Running::start(&team.arguments(&url, &options)).await;
    let log = until("it is passed over", async || {
        let log = deliver.process.log();
        log.contains("\"event.ids\"").then_some(log)
    })
    .await;
    let (code, skipped, err) = run(&team.arguments(&url, &["skipped", "--json"])).await;
    assert_eq!(code, 0, "{err}");
    for text in [log, skipped] {
        assert!(text.contains(r"urn:a\u009b31m\u202e"), "{text:?}");
        let obeyed = |c: char| c != '\n' && is_control(c);
        assert!(!text.contains(obeyed), "{text:?}");
    }
}

/// What it has moved to may have another token.
#[tokio::test]
async fn a_feed_that_has_moved_is_named_without_its_token() {
    let feed = "<feed xmlns='http://www.w3.org/2005/Atom'><id>urn:x</id><title/><updated>2026-01-01T00:00:00Z</updated></feed>";
    let new = get(async move || ([(CONTENT_TYPE, "application/atom+xml")], feed));
    let old = get(async || Redirect::permanent("/new?private_token=s3cret"));
    let url = listen(Router::new().route("/feed", old).route("/new", new)).await + "/feed";
    let team = Team::new(Backend::Sqlite).await;
    let file = team.bill();
    let arguments = team.arguments(&url, &["--sql", &file]);
    let deliver = Running::start(&arguments).await;
    let log = until("it says so", async || {
        let log = deliver.process.log();
        log.contains("has moved permanently").then_some(log)
    })
    .await;
    assert!(log.contains("/new?private_token=…"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

/// A token in the feed's address is one, and so is the secret itself in place of its file.
#[tokio::test]
async fn no_message_shows_a_secret() {
    let without_scheme = ["tail", "127.0.0.1:9/feed?private_token=s3cret"];
    let check = ["check", "http://127.0.0.1:9/feed?private_token=s3cret"];
    for arguments in [&without_scheme[..], &check] {
        let (code, out, err) = run(arguments).await;
        assert_eq!(code, 2, "{out} {err}");
        assert!(err.contains("127.0.0.1:9/feed?"), "{err}");
        assert!(!err.contains("s3cret"), "{err}");
    }
    let deliver = [
        "deliver",
        "--to",
        "http://127.0.0.1:9/",
        "--listen",
        "127.0.0.1:0",
    ];
    for (variable, value, said) in [
        ("SECRET_FILE", "whsec_s3cret", "cannot read the file"),
        (
            "DATABASE_URL",
            "postgres://eve:/s3cret@h/shop",
            "%2F for a /",
        ),
    ] {
        let (code, out, err) = run_with(&[(variable, value)], &deliver).await;
        assert!(code != 0 && err.contains(said), "{out} {err}");
        assert!(!err.contains("s3cret"), "{err}");
    }
}
