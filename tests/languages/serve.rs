//! `feed serve`, beside an application that only inserts.

use harness::server::Server;
use harness::{Backend, FreshDatabase, tables, until};
use serde_json::{Value, json};

use crate::feed::{Running, database, publish, run, serve, shows};

harness::on_both_backends! {
    what_an_application_inserts_is_in_the_feed
    a_row_that_is_no_event_is_refused_in_its_transaction
    an_application_publishes_while_the_program_is_down
    a_restored_feed_has_another_epoch
    a_subject_is_erased
}

async fn subjects(feed: &Running) -> Vec<String> {
    let head = feed.client.get("feed", &[]).await;
    assert_eq!(head.status, 200, "{}", head.body);
    head.elements("event:subject")
}

async fn what_an_application_inserts_is_in_the_feed(backend: Backend) {
    let database = database(backend).await;
    database.execute("CREATE TABLE purchase (id INTEGER)").await;
    let feed = serve(&database).await;
    // A reader that was given the address of the program gets what it asks for.
    for (query, place) in [("?after=start", "/feed?after=start"), ("?", "/feed")] {
        let led = feed.client.get(query, &[]).await;
        assert!(led.header("location").ends_with(place), "{led:?}");
    }
    database
        .execute(
            "BEGIN; INSERT INTO purchase VALUES (1);
             INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', 'order/1', '{\"id\": 1}');
             COMMIT",
        )
        .await;
    database
        .execute(
            "BEGIN; INSERT INTO purchase VALUES (2);
             INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', 'order/2', '{}');
             ROLLBACK",
        )
        .await;
    publish(&database, "order/3", "{}").await;
    until("both are in the feed", async || {
        (subjects(&feed).await == ["order/3", "order/1"]).then_some(())
    })
    .await;
    // What a person reads, if the application gives no title: the type, the subject, and where the data is.
    let head = feed.client.get("feed", &[]).await;
    assert_eq!(
        head.elements("title")[1..],
        ["order.placed: order/3", "order.placed: order/1"]
    );
    let events = head.elements("id").len() - 1;
    assert_eq!(
        head.body.matches("/events/").count(),
        2 * events,
        "{}",
        head.body
    );
    let wrong = feed
        .client
        .get("feed?x=1", &[("accept", "text/html")])
        .await;
    wrong.assert_problem(400);
    assert!(wrong.body.contains("Back to Feed"), "{}", wrong.body);
    let page = feed.client.get("feed", &[("accept", "text/html")]).await;
    assert!(page.body.contains("order.placed: order/1"), "{}", page.body);
    let batch = [("accept", "application/cloudevents-batch+json")];
    let batch = feed.client.get("feed?after=start", &batch).await.json();
    assert_eq!(batch[0]["data"]["id"], 1);
    assert_eq!(batch[1]["subject"], "order/3");
    for path in [
        "metrics",
        "feed/status",
        "openapi.json",
        "asyncapi.json",
        "health/live",
        "health/started",
    ] {
        assert_eq!(feed.client.get(path, &[]).await.status, 200, "{path}");
    }
}

async fn a_row_that_is_no_event_is_refused_in_its_transaction(backend: Backend) {
    let database = database(backend).await;
    let feed = serve(&database).await;
    for (subject, data) in [("order/1", "no JSON"), (" ", "{}"), ("", "{}")] {
        let sql = format!(
            "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', '{subject}', '{data}')"
        );
        assert!(
            tables::try_run(database.url(), &sql).await.is_err(),
            "{sql}"
        );
    }
    publish(&database, "order/2", "{}").await;
    until("the others are in the feed", async || {
        (subjects(&feed).await == ["order/2"]).then_some(())
    })
    .await;
}

async fn an_application_publishes_while_the_program_is_down(backend: Backend) {
    let database = database(backend).await;
    let mut feed = serve(&database).await;
    publish(&database, "order/1", "{}").await;
    feed.process.kill();
    publish(&database, "order/2", "{}").await;
    feed.restart().await;
    until("both are in the feed", async || {
        (subjects(&feed).await == ["order/2", "order/1"]).then_some(())
    })
    .await;
}

/// Otherwise new events would be at addresses that had others.
async fn a_restored_feed_has_another_epoch(backend: Backend) {
    let database = database(backend).await;
    let mut feed = serve(&database).await;
    for order in 1..=25 {
        publish(&database, &format!("order/{order}"), "{}").await;
    }
    shows(&feed, 25).await;
    let before = feed.client.get("feed", &[]).await;
    let after = format!("feed?after={}", before.elements("event:cursor")[0]);
    assert_eq!(feed.client.get(&after, &[]).await.status, 200);
    feed.process.kill();
    let (code, out, err) = run(&["serve", "--database-url", database.url(), "restored"]).await;
    assert_eq!(code, 0, "{err}");
    feed.restart().await;
    let head = feed.client.get("feed", &[]).await;
    let epoch = head.elements("event:epoch");
    assert_ne!(epoch, before.elements("event:epoch"));
    assert!(
        out.starts_with(&format!("The feed now has the epoch {}. ", epoch[0])),
        "{out}"
    );
    assert_eq!(head.elements("id")[1..], before.elements("id")[1..]);
    // Each cursor of a consumer halts it.
    feed.client.get(&after, &[]).await.assert_problem(410);
}

/// Also while it is served, and an archived page keeps its bytes.
async fn a_subject_is_erased(backend: Backend) {
    let database = database(backend).await;
    let feed = serve(&database).await;
    for order in 1..=2 {
        let subject = format!("order/{order}");
        for _ in 0..2 {
            publish(&database, &subject, r#"{"name": "Ada"}"#).await;
        }
    }
    shows(&feed, 4).await;
    let serving = ["serve", "--database-url", database.url(), "erase"];
    let erase = async |arguments: &[&str]| run(&[&serving[..], arguments].concat()).await;
    let batch = async || {
        let accept = [("accept", "application/cloudevents-batch+json")];
        feed.client.get("feed?after=start", &accept).await.json()
    };
    for (subject, data, expected, said) in [
        ("order/1", "{", 2, "JSON"),
        (
            "order/3",
            "{}",
            1,
            "no event about order/3 has data to erase",
        ),
    ] {
        let refused = erase(&[subject, "--type", "order.erased", "--data", data]).await;
        assert!(
            refused.0 == expected && refused.2.contains(said),
            "{refused:?}"
        );
    }
    let (code, out, err) = erase(&[
        "order/1",
        "--type",
        "order.erased",
        "--data",
        r#"{"id": 1}"#,
    ])
    .await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        out,
        "Erased the data of 2 events about order/1, and published order.erased.\n"
    );
    shows(&feed, 5).await;
    let events = batch().await;
    let data = |n: usize| &events[n]["data"];
    assert!(data(0).is_null() && data(1).is_null(), "{events}");
    assert_eq!(
        (&data(2)["name"], &data(3)["name"]),
        (&json!("Ada"), &json!("Ada"))
    );
    assert_eq!(
        (&events[4]["type"], &data(4)["id"]),
        (&json!("order.erased"), &json!(1))
    );
    assert_eq!(events.as_array().unwrap().len(), 5);
    // Once more, it leaves its own event alone; the database may have other blanks than the command.
    let again = async |data| erase(&["order/1", "--type", "order.erased", "--data", data]).await;
    let same = again(r#"{"id":1}"#).await;
    let said = "no event about order/1 has data to erase";
    assert!(same.0 == 1 && same.2.contains(said), "{same:?}");
    assert_eq!(batch().await, events);
    // With other data, that event gets it too: without data, it would block each consumer that has yet to take it.
    let other = again(r#"{"id":1,"by":"eve"}"#).await;
    assert_eq!(other.0, 0, "{other:?}");
    shows(&feed, 6).await;
    let events = batch().await;
    let data = [0_usize, 1, 4, 5].map(|n| events[n]["data"].clone());
    let notice = json!({"id": 1, "by": "eve"});
    assert_eq!(data, [Value::Null, Value::Null, notice.clone(), notice]);
}

/// From a schema that is not in the `search_path` of the application, whose role may insert and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_appends_from_another_schema() {
    let database = database(Backend::Postgres).await;
    let arguments = [
        "serve",
        "--database-url",
        database.url(),
        "--database-schema",
        "events",
    ];
    let feed = Running::start(&arguments).await;
    let role = format!("app_{}", std::process::id());
    let appended = "SELECT events.feed_append('order.placed', 'order/1', '{\"a\":  1}');
         SELECT events.feed_append('order.placed', 'order/2', json_build_object('a', 2));
         SELECT events.feed_append('order.placed', 'order/3', jsonb_build_object('a', 3));
         SELECT events.feed_append('order.placed', 'order/4', '{}', '0190b9ab-0000-7000-8000-000000000001')";
    database
        .execute(&format!(
            "CREATE ROLE {role}; GRANT USAGE ON SCHEMA events TO {role};
             GRANT INSERT ON events.feed_outbox TO {role};
             SET ROLE {role}; {appended}"
        ))
        .await;
    until("all are in the feed", async || {
        (subjects(&feed).await.len() == 4).then_some(())
    })
    .await;
    let data = "SELECT data FROM events.feed_event ORDER BY sequence";
    let data = tables::texts(database.url(), data).await;
    assert_eq!(data, ["{\"a\":  1}", "{\"a\" : 2}", "{\"a\": 3}", "{}"]);
    let event = "events/0190b9ab-0000-7000-8000-000000000001";
    assert_eq!(feed.client.get(event, &[]).await.status, 200);
    let again = format!(
        "SET ROLE {role}; SELECT events.feed_append('order.placed', 'order/5', '{{}}', '0190b9ab-0000-7000-8000-000000000001');
         RESET ROLE"
    );
    let _ = tables::try_run(database.url(), &again).await;
    database
        .execute("SELECT events.feed_append('order.placed', 'order/6', '{}')")
        .await;
    until("a doubled id stops nothing", async || {
        (subjects(&feed).await[0] == "order/6").then_some(())
    })
    .await;
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

/// CloudEvents name it, and readers find it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_the_data_is_served_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let schema = "{\"type\": \"object\", \"required\": [\"id\"]}";
    std::fs::write(directory.path().join("order.placed.json"), schema).unwrap();
    std::fs::write(directory.path().join("README"), "no schema").unwrap();
    let database = database(Backend::Sqlite).await;
    let path = directory.path().to_str().unwrap();
    let feed =
        Running::start(&["serve", "--database-url", database.url(), "--schemas", path]).await;
    publish(&database, "order/1", "{\"id\": 1}").await;
    let events = until("it is in the feed", async || {
        let batch = [("accept", "application/cloudevents-batch+json")];
        let events = feed.client.get("feed?after=start", &batch).await.json();
        events[0].is_object().then_some(events)
    })
    .await;
    let named = events[0]["dataschema"].as_str().unwrap();
    assert_eq!(named, feed.client.url("feed/schemas/order.placed"));
    let served = feed.client.get(named, &[]).await;
    assert_eq!(served.header("content-type"), "application/schema+json");
    assert_eq!(served.json()["required"][0], "id");
    assert_eq!(feed.client.get("feed/schemas/other", &[]).await.status, 404);
}

/// It follows the server that is written to, and never answers that a reader has seen too much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_standby_serves_the_same_feed() {
    let server = Server::start(&["fsync=off"], &[]).await;
    let database = FreshDatabase::postgres_at(&server.url).await;
    let feed = serve(&database).await;
    publish(&database, "order/1", "{}").await;
    until("it is in the feed", async || {
        (subjects(&feed).await == ["order/1"]).then_some(())
    })
    .await;
    let standby = server.standby().await;
    let there = database.url().split_once('?').unwrap().0;
    let there = format!("{there}?{}", standby.url.split_once('?').unwrap().1);
    let base = feed.client.url("");
    // Links are those of the feed.
    let copy = Running::start(&[
        "serve",
        "--read-only",
        "--database-url",
        &there,
        "--base-url",
        &base,
    ])
    .await;
    assert_eq!(subjects(&copy).await, ["order/1"]);
    publish(&database, "order/2", "{}").await;
    until("the copy follows", async || {
        (subjects(&copy).await == ["order/2", "order/1"]).then_some(())
    })
    .await;
    let [here, there] = [
        feed.client.get("feed", &[]).await,
        copy.client.get("feed", &[]).await,
    ];
    assert_eq!(here.body, there.body);
    // While the copy does not hear of more, a reader from here asks there.
    let paused = "SELECT 'paused' FROM pg_wal_replay_pause()";
    tables::texts(&standby.url, paused).await;
    publish(&database, "order/3", "{}").await;
    until("it is in the feed", async || {
        (subjects(&feed).await.len() == 3).then_some(())
    })
    .await;
    let head = feed.client.get("feed", &[]).await;
    let cursor = &head.elements("event:cursor")[0];
    let ahead = copy.client.get(&format!("feed?after={cursor}"), &[]).await;
    assert_eq!(ahead.status, 503, "{}", ahead.body);
    let ahead = copy
        .client
        .get("feed", &[("if-none-match", head.header("etag"))])
        .await;
    assert_eq!(ahead.status, 503, "{}", ahead.body);
    let another = "feed?after=bbcdefgh.1.0190b9ab000070008000000000000001";
    assert_eq!(copy.client.get(another, &[]).await.status, 503);
    assert_eq!(feed.client.get(another, &[]).await.status, 410);
    // What docs/scaling.md says to compare.
    for (client, sequence) in [(&feed.client, 3), (&copy.client, 2)] {
        let metrics = client.get("metrics", &[]).await.body;
        assert!(
            metrics.contains(&format!("\nfeed_sequence {sequence}\n")),
            "{metrics}"
        );
    }
    tables::texts(&standby.url, "SELECT 'resumed' FROM pg_wal_replay_resume()").await;
    until("the copy follows again", async || {
        let answer = copy.client.get(&format!("feed?after={cursor}"), &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// A name that is mistyped is no damaged file.
#[tokio::test]
async fn a_file_that_is_only_read_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.db");
    let url = format!("sqlite:{}", file.display());
    let arguments = ["serve", "--read-only", "--database-url", &url];
    let arguments = [&arguments[..], &["--listen", "127.0.0.1:0"]].concat();
    for (text, said) in [
        (None, "there is no file"),
        (
            Some("no database"),
            "has to be a SQLite file that we may read",
        ),
        // The empty database of an application.
        (Some(""), "has not had all migrations of this program"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let (code, _, err) = run(&arguments).await;
        assert!(code != 0 && err.contains(said), "{said}: {err}");
        assert_eq!(file.exists(), text.is_some());
    }
}
