//! Consumers as another team writes them: in Python without our code, and in Rust with the public
//! items of feed-core. They are killed again and again, also during a transaction.

use std::collections::BTreeMap;

use harness::programs::available;
use harness::tables::{run, texts};
use harness::tap::Tap;
use harness::{Backend, Process, built, free_address, until};
use serde_json::json;

use crate::killed::{Consumer, count};
use crate::publisher::{place, started};

harness::on_both_backends! {
    python_books_each_event_once_despite_kills
    python_halts_at_another_feed
    python_continues_after_an_event_that_cannot_be_read
    the_sales_example_counts_each_order_once_despite_kills
}

/// Where a second effect would be seen, although `sale` itself refuses it.
const ATTEMPTS: &str = "
    CREATE TABLE test_log (number INTEGER PRIMARY KEY, what TEXT);
    CREATE TRIGGER test_sold BEFORE INSERT ON sale
        BEGIN INSERT INTO test_log (what) VALUES (new.order_id || ' sold'); END;
    CREATE TRIGGER test_taken_off AFTER DELETE ON sale
        BEGIN INSERT INTO test_log (what) VALUES (old.order_id || ' taken off'); END;";

async fn python_books_each_event_once_despite_kills(backend: Backend) {
    if !available(&["python3"]) {
        return;
    }
    let mut order = started(backend).await;
    place(&order, 130).await;
    // The feed is at another address than its links say.
    let tap = Tap::before(&order.client.url("")).await;
    let mut python = Consumer::python(&tap.url("feed"));
    let gates = [
        "BEFORE INSERT ON claim",
        "BEFORE INSERT ON ledger",
        "AFTER INSERT ON ledger",
        "AFTER INSERT ON place",
    ];
    let _two_of_it = python.lives(&mut order, &gates, 2).await;
    let sign = "CASE event_type WHEN 'order.placed' THEN '' ELSE '-' END";
    let published =
        format!("SELECT subject || ' ' || {sign} || 18400 FROM feed_event ORDER BY sequence");
    let booked = "SELECT subject || ' ' || cents FROM ledger ORDER BY number";
    assert_eq!(
        texts(&python.url, booked).await,
        texts(order.database.url(), &published).await
    );
}

async fn python_halts_at_another_feed(backend: Backend) {
    if !available(&["python3"]) {
        return;
    }
    let mut order = started(backend).await;
    place(&order, 3).await;
    let mut python = Consumer::python(&order.client.url("feed"));
    let mut process = python.start();
    python.takes(3).await;
    assert_eq!(order.stop().await, Some(0));
    let another = "UPDATE feed_head SET epoch = 'another2'";
    order.database.execute(another).await;
    order.start().await;
    place(&order, 1).await;
    assert_eq!(process.ended().await, Some(1));
    // A restart does not begin anew either.
    let mut again = python.start();
    assert_eq!(again.ended().await, Some(1));
    let log = again.log();
    assert_eq!(log.matches("halted: ").count(), 2, "{log}");
    assert_eq!(log.matches("it is another history").count(), 2, "{log}");
    assert_eq!(python.taken().await, 3);
}

/// As the migration leaves it, when another program had written invalid JSON.
async fn python_continues_after_an_event_that_cannot_be_read(backend: Backend) {
    if !available(&["python3"]) {
        return;
    }
    let order = started(backend).await;
    place(&order, 5).await;
    let broken = "UPDATE feed_event SET data = '' WHERE sequence = 2";
    order.database.execute(broken).await;
    // One that not every parser accepts, from before it was refused: it is not in the batch.
    let deep = format!(
        "{{\"total\": 1, \"deep\": {}{}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    let odd = format!("UPDATE feed_event SET data = '{deep}' WHERE sequence = 4");
    order.database.execute(&odd).await;
    let mut python = Consumer::python(&order.client.url("feed"));
    let _process = python.start();
    python.takes(4).await;
    place(&order, 1).await;
    python.takes(5).await;
    let missed = "SELECT event FROM missed";
    let id = "SELECT CAST(id AS TEXT) FROM feed_event WHERE sequence = 2";
    assert_eq!(
        texts(&python.url, missed).await,
        texts(order.database.url(), id).await
    );
}

async fn the_sales_example_counts_each_order_once_despite_kills(backend: Backend) {
    let mut order = started(backend).await;
    let tap = Tap::before(&order.client.url("")).await;
    let (mut sales, client) = Consumer::sales(&tap.url("feed"));
    let mut process = sales.start();
    process.ready(&client).await;
    run(&sales.url, ATTEMPTS).await;
    sales.kill(process).await;
    place(&order, 130).await;
    let gates = [
        "BEFORE UPDATE OF sequence ON feed_partition",
        "BEFORE INSERT ON feed_claim",
        "BEFORE INSERT ON sale",
        "AFTER DELETE ON sale",
    ];
    let _running = sales.lives(&mut order, &gates, 1).await;

    let what = "CASE event_type WHEN 'order.placed' THEN ' sold' ELSE ' taken off' END";
    let published =
        format!("SELECT substr(subject, 7) || {what} FROM feed_event ORDER BY sequence");
    let published = texts(order.database.url(), &published).await;
    // Each order has two lines.
    let published = by_order(
        published
            .into_iter()
            .flat_map(|event| [event.clone(), event]),
    );
    let attempts = texts(&sales.url, "SELECT what FROM test_log ORDER BY number").await;
    assert_eq!(by_order(attempts), published);

    let kept = published.values().filter(|what| what.len() == 2).count() as i64;
    let (mut sold, mut cents) = (BTreeMap::new(), 0);
    for row in client.json("").await.unwrap().as_array().unwrap() {
        let item = row["item"].as_str().unwrap().to_owned();
        *sold.entry(item).or_insert(0) += row["pieces"].as_i64().unwrap();
        cents += row["cents"].as_i64().unwrap();
    }
    assert_eq!(json!(sold), json!({"Apple TV": kept, "iPod": 2 * kept}));
    assert_eq!(cents, 18_400 * kept);

    assert_eq!(client.get("health/ready", &[]).await.status, 200);
    let status = client.get("status", &[("accept", "text/html")]).await;
    assert_eq!(status.status, 200);
    // It has nothing to compare, and does not offer it.
    assert!(!status.body.contains("Compar"), "{}", status.body);
    let compared = client.post_form("status/reconcile", &[]).await;
    assert_eq!(compared.status, 404);
}

/// The history of each order: `17 sold`, `17 taken off`.
fn by_order(all: impl IntoIterator<Item = String>) -> BTreeMap<String, Vec<String>> {
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in all {
        let (order, what) = one.split_once(' ').unwrap();
        let order = orders.entry(order.to_owned()).or_default();
        order.push(what.to_owned());
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_publisher_and_consumer_continue_after_a_restart() {
    let (publisher_at, directory) = (free_address(), tempfile::tempdir().unwrap());
    let start = |name: &str, setting: (&str, &str)| {
        let mut example = built(&format!("examples/{name}"));
        example.current_dir(directory.path());
        Process::start_command(name, &mut example, &[setting], directory.path())
    };
    let feed = format!("http://{publisher_at}/feed");
    let url = format!(
        "sqlite:{}",
        directory.path().join("data/consumer.db").display()
    );
    let mut seen = 0;
    for _ in 0..2 {
        let mut publisher = start("publisher", ("LISTEN", &publisher_at));
        let mut consumer = start("consumer", ("FEED_URL", &feed));
        seen = until("two more sales arrive", async || {
            count(&url, "sold").await.filter(|count| *count >= seen + 2)
        })
        .await;
        publisher.kill();
        assert_eq!(consumer.stop("TERM").await, Some(0), "{}", consumer.log());
        let first = r#"sale/1: {"id":1,"item":"iPod"}"#;
        assert_eq!(consumer.log().matches(first).count(), 1);
    }
    let sold = texts(&url, "SELECT subject FROM sold ORDER BY rowid").await;
    let all: Vec<String> = (1..=sold.len()).map(|id| format!("sale/{id}")).collect();
    assert_eq!(sold, all);
}
