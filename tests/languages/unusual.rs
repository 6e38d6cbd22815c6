//! What the examples do about data, answers and settings that are not as usual.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::routing::get;
use harness::{Backend, FreshDatabase, Process, free_address, tables, until};

use crate::examples::{Language, go, java, javascript, python, root, url_of};
use crate::feed::{Running, database, publish};

/// A consumer with these bills.
fn consumer(language: &Language, bills: &str, feed: &str, directory: &Path) -> Process {
    let settings = [("DATABASE_URL", bills), ("FEED_URL", feed)];
    Process::start_command(
        "consumer",
        &mut (language.program)("consumer"),
        &settings,
        directory,
    )
}

/// Waits until a consumer has logged this.
async fn says(process: &Process, text: &str) {
    until("it has logged that", async || {
        process.log().contains(text).then_some(())
    })
    .await;
}

async fn texts(bills: &FreshDatabase, sql: &str) -> Vec<String> {
    tables::texts(bills.url(), sql).await
}

/// A disk that is full until the table `full` is empty.
const FULL: &str = "
    CREATE TABLE bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL CHECK (cents > 0));
    CREATE TABLE disk (is_full BOOLEAN);
    INSERT INTO disk VALUES (true);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM disk) THEN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END IF;
        RETURN new;
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON bill FOR EACH ROW EXECUTE FUNCTION refuse();";

const FAILED: &str = "SELECT event FROM feed_claim WHERE failed IS NOT NULL ORDER BY length(event)";

/// A feed with credentials. Its events: a bill, none that can be made, none of jsonb, one that the feed leaves out, a bill.
async fn an_example_keeps_what_fails_and_tries_again_what_passes(language: Option<Language>) {
    let Some(language) = language else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    std::fs::write(&file, "read bills:se/cret-%\n").unwrap();
    let orders = database(Backend::Postgres).await;
    let credentials = ["--credentials-file", file.to_str().unwrap()];
    let serve = ["serve", "--database-url", orders.url()];
    let feed = Running::start(&[&serve[..], &credentials].concat()).await;
    publish(&orders, "order/1", r#"{"id": 1, "cents": 100}"#).await;
    publish(&orders, "order/2", r#"{"id": 2, "cents": -1}"#).await;
    publish(&orders, "order/3", "{}").await;
    publish(&orders, "order/4", "{}").await;
    let path = r#"{"id": 5, "cents": 500, "path": "C:\\u0000", "nul": "\\\u0000"}"#;
    publish(&orders, "order/5", path).await;
    until("all are published", async || {
        let all = "SELECT count(*) FROM feed_event";
        (tables::number(orders.url(), all).await == 5).then_some(())
    })
    .await;
    // As a publisher on SQLite may have it, where that is a number.
    let tiny = r#"{"id": 3, "cents": 300, "rate": 1e-20000}"#;
    for (data, sequence) in [(tiny, 3), ("", 4)] {
        let update = format!("UPDATE feed_event SET data = '{data}' WHERE sequence = {sequence}");
        orders.execute(&update).await;
    }

    let bills = database(Backend::Postgres).await;
    bills.execute(FULL).await;
    let pooler = language.pooler(&bills).await;
    let url = url_of(&bills, pooler.as_ref());
    let address = feed.client.url("feed");
    let with_user = address.replace("//", "//bills:se%2Fcret-%25@");
    let mut process = consumer(&language, &url, &with_user, directory.path());
    says(&process, "trying again").await;
    let log = process.log();
    assert!(log.contains("the disk is full"), "{log}");
    let claims = "SELECT count(*) FROM feed_claim";
    assert_eq!(tables::number(bills.url(), claims).await, 0, "{log}");
    bills.execute("DELETE FROM disk").await;
    let billed = "SELECT order_id || ' ' || cents FROM bill ORDER BY bill.order_id";
    until("the last order has a bill", async || {
        (texts(&bills, billed).await.last()? == "5 500").then_some(())
    })
    .await;
    assert_eq!(texts(&bills, billed).await, ["1 100", "5 500"]);
    let failed = texts(&bills, FAILED).await;
    let ids = "SELECT CAST(id AS TEXT) FROM feed_event WHERE sequence IN (2, 3) ORDER BY sequence";
    assert_eq!(failed[0], "4 to 4", "{failed:?}");
    let mut kept = failed[1..].to_vec();
    kept.sort();
    let mut expected = tables::texts(orders.url(), ids).await;
    expected.sort();
    assert_eq!(kept, expected);
    assert!(!process.log().contains("cret"), "{}", process.log());
    assert_eq!(
        texts(&bills, "SELECT feed FROM feed_cursor").await,
        [address]
    );

    // As docs/consumer.md says it.
    process.kill();
    let right = r#"UPDATE feed_event SET data = '{"id": 4, "cents": 400}' WHERE sequence = 4"#;
    orders.execute(right).await;
    let guide = include_str!("../../docs/consumer.md");
    let again = guide.split("```sql\nBEGIN;").nth(1).unwrap();
    bills.execute(again.split("COMMIT;").next().unwrap()).await;
    let _again = consumer(&language, &url, &with_user, directory.path());
    until("what was corrected has a bill", async || {
        (texts(&bills, billed).await == ["1 100", "4 400", "5 500"]).then_some(())
    })
    .await;
    until("what was not is recorded anew", async || {
        let mut failed = texts(&bills, FAILED).await;
        failed.sort();
        (failed == expected).then_some(())
    })
    .await;
}

/// Neither takes nothing for ever, nor begins again at the start.
async fn an_example_refuses_a_query_and_an_answer_without_a_cursor(language: Option<Language>) {
    let Some(language) = language else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let bills = database(Backend::Postgres).await;
    let pooler = language.pooler(&bills).await;
    let url = url_of(&bills, pooler.as_ref());
    let address = free_address();
    let feed = format!("http://{address}/feed");
    let query = format!("{feed}?type=order.placed");
    let mut refused = consumer(&language, &url, &query, directory.path());
    assert_ne!(refused.ended().await, Some(0));
    let said = "has a query, and this takes the whole feed: write the address without";
    assert!(refused.log().contains(said), "{}", refused.log());

    let batch = r#"[{"specversion": "1.0", "id": "a", "source": "/", "type": "order.placed", "sequence": "1",
                     "data": {"id": 1, "cents": 100}}]"#;
    let router = Router::new().route("/feed", get(move || async move { batch }));
    let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let process = consumer(&language, &url, &feed, directory.path());
    says(&process, "trying again").await;
    assert_eq!(
        tables::number(bills.url(), "SELECT count(*) FROM bill").await,
        0
    );
    let moved = "SELECT count(*) FROM feed_cursor WHERE cursor <> 'start'";
    assert_eq!(tables::number(bills.url(), moved).await, 0);
}

macro_rules! in_each_language {
    ($($rule:ident: $python:ident $javascript:ident $java:ident $go:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $python() { $rule(python()).await; }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $javascript() { $rule(javascript()).await; }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $java() { $rule(java()).await; }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $go() { $rule(go()).await; }
    )* };
}

in_each_language! {
    an_example_keeps_what_fails_and_tries_again_what_passes:
        python_keeps_what_fails javascript_keeps_what_fails java_keeps_what_fails go_keeps_what_fails
    an_example_refuses_a_query_and_an_answer_without_a_cursor:
        python_needs_a_cursor javascript_needs_a_cursor java_needs_a_cursor go_needs_a_cursor
}

/// The second of three orders fails between its two rows, in a copy with these changes that continues with the third.
async fn an_order_that_fails_is_not_placed(
    language: &Language,
    mut command: Command,
    name: &str,
    changes: [[&str; 2]; 2],
) {
    let example = root().join("examples").join(language.directory).join(name);
    let mut text = std::fs::read_to_string(example).unwrap();
    for [from, to] in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let program = command.get_args().last().unwrap().to_owned();
    std::fs::write(program, text).unwrap();
    let orders = database(Backend::Postgres).await;
    let _feed = Running::start(&["serve", "--database-url", orders.url()]).await;
    let pooler = language.pooler(&orders).await;
    let directory = tempfile::tempdir().unwrap();
    let url = url_of(&orders, pooler.as_ref());
    let settings = [("DATABASE_URL", url.as_str())];
    let mut publisher = Process::start_command(
        "publisher",
        command.args(["1", "3"]),
        &settings,
        directory.path(),
    );
    assert_eq!(publisher.ended().await, Some(0), "{}", publisher.log());
    let placed = "SELECT id::text FROM purchase ORDER BY purchase.id";
    assert_eq!(tables::texts(orders.url(), placed).await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_fails_in_javascript_is_not_placed() {
    let Some(language) = javascript() else {
        return;
    };
    let changes = [
        [
            "JSON.stringify({ id: order, cents })",
            "JSON.stringify({ id: order, cents: order === 2 ? 2n : cents })",
        ],
        [
            "await place(db, order, 100 * order);",
            "await place(db, order, 100 * order).catch(() => {});",
        ],
    ];
    let command = (language.program)("publisher");
    an_order_that_fails_is_not_placed(&language, command, "publisher.mjs", changes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_fails_in_java_is_not_placed() {
    let Some(language) = java() else {
        return;
    };
    let changes = [
        [
            r#""order/" + order,"#,
            r#""order/" + order + 0 / (order - 2),"#,
        ],
        [
            "place(db, order, 100 * order);",
            "try { place(db, order, 100 * order); } catch (ArithmeticException of2) { }",
        ],
    ];
    let directory = tempfile::tempdir().unwrap();
    let classes = (language.program)("publisher");
    let mut command = Command::new(classes.get_program());
    command
        .args(classes.get_args().take(2))
        .arg(directory.path().join("Publisher.java"));
    an_order_that_fails_is_not_placed(&language, command, "Publisher.java", changes).await;
}
