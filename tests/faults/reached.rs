//! Each rare branch that a guarantee depends on was reached, and the checker has judged what came of it. The random lives
//! reach most of them; a life that is restored to an older state or that an operator moves back is none that the checker can judge,
//! so what remains is reached here, on purpose. The list is `feed-core/src/reached.rs`.

use std::path::Path;
use std::process::Stdio;

use harness::fake::{Atom, Fake, Numbered, Reply};
use harness::marks::{self, Marks, assert_reached};
use harness::{
    Backend, Client, Cluster, FreshDatabase, Service, System, load, new_order, patiently, tables,
    until,
};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::fleet::Fleet;

/// What no random life reaches, but a test below.
const ON_PURPOSE: [&str; 13] = [
    "HeadWentBack",
    "HistoryDiverged",
    "CursorRefused",
    "ErasedUnnumbered",
    "FencedRetry",
    "ClaimedBefore",
    "EpochChanged",
    "DecidedBefore",
    "AheadContradicted",
    "WrongLink",
    "CursorGone",
    "CursorGoneInWalk",
    "WindowLost",
];

/// The file of a life with the marks that it has reached.
const FILE: &str = "marks";

/// Leaves the marks of a life in its directory.
pub(crate) fn write(fleet: &mut Fleet) {
    let marks: Vec<String> = fleet.reached().into_iter().collect();
    std::fs::write(fleet.directory.join(FILE), marks.join("\n")).unwrap();
}

/// The marks that a life has left.
pub(crate) fn read(directory: &Path) -> Marks {
    let marks = std::fs::read_to_string(directory.join(FILE)).unwrap();
    marks.lines().map(str::to_owned).collect()
}

/// Fails unless the random lives have reached every mark that is theirs.
pub(crate) fn assert_all_reached(reached: &Marks) {
    let all = marks::all();
    let names = all.iter().map(|mark| mark.name.as_str());
    let theirs: Vec<&str> = names.filter(|name| !ON_PURPOSE.contains(name)).collect();
    assert_reached(reached, &theirs);
}

/// So none is misspelt, and none is reached from elsewhere than where its guarantee needs it.
#[test]
fn each_mark_is_in_one_place_and_names_its_guarantee() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../feed-core/src"));
    let all = marks::all();
    assert!(all.len() > 20, "{all:?}");
    for mark in &all {
        let name = &mark.name;
        let places = sources.matches(&format!("Mark::{name}.reached()")).count()
            + sources.matches(&format!("=> Mark::{name},")).count();
        assert_eq!(places, 1, "places of {name}");
        let (guarantees, _) = mark.meaning.split_once(": ").unwrap_or_default();
        let numbers = guarantees
            .split(", ")
            .map(|guarantee| guarantee[1..].parse());
        let named = numbers
            .filter(|number| matches!(number, Ok(1..=12)))
            .count();
        assert!(
            named > 0,
            "{name} does not begin with its guarantees: {}",
            mark.meaning
        );
    }
    let tests = self::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("faults"));
    for name in ON_PURPOSE {
        assert!(
            all.iter().any(|mark| mark.name == name),
            "{name} is no mark"
        );
        let named = tests.matches(&format!("\"{name}\"")).count();
        assert!(named > 1, "no test reaches {name}");
    }
}

fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap().path();
        match file.is_dir() {
            true => text += &sources(&file),
            false => text += &String::from_utf8_lossy(&std::fs::read(&file).unwrap()),
        }
    }
    text
}

#[test]
#[should_panic(expected = "FencedBatch: I5: another instance has taken partitions over")]
fn a_mark_that_is_not_reached_is_named() {
    let log = "2026-11-29T20:00:00Z TRACE feed_core::reached: HeadLocked\n\
               2026-11-29T20:00:01Z TRACE poll{n=1}: feed_core::reached: DatabaseSilent\n";
    let reached = marks::in_log(log);
    assert_reached(&reached, &["HeadLocked", "DatabaseSilent"]);
    assert_reached(&reached, &["HeadLocked", "FencedBatch"]);
}

harness::on_both_backends! {
    a_feed_that_goes_back_is_noticed_by_all
    a_feed_that_is_another_one_is_noticed_by_all
    a_parked_event_is_overtaken_by_its_erasure
}

/// Waits until a consumer halts.
async fn halted(client: &Client) {
    patiently("it halts", async || {
        let status = client.json("status").await?;
        status["halted"].as_str().map(drop)
    })
    .await;
}

/// A system that has applied some orders.
async fn with_orders(backend: Backend) -> System {
    let system = System::started(backend).await;
    for _ in 0..5 {
        let id = system.place().await;
        system.invoice(id).await;
        system.shipment(id).await;
    }
    system
}

/// A failover that loses the newest event: the service keeps running on another state of its database.
async fn a_feed_that_goes_back_is_noticed_by_all(backend: Backend) {
    let system = with_orders(backend).await;
    let back = "DELETE FROM feed_event WHERE sequence = 5;
                UPDATE feed_head SET sequence = 4,
                    anchor = (SELECT id FROM feed_event WHERE sequence = 4)";
    tables::run(system.order.database.url(), back).await;
    halted(&system.invoice.client).await;
    halted(&system.shipping.client).await;
    let feed = ["HeadWentBack", "TagUnproven", "CursorRefused"];
    assert_reached(&system.order.reached(), &feed);
    assert_reached(&system.invoice.reached(), &["CursorGone"]);
}

/// The same, and another event has the number by now.
async fn a_feed_that_is_another_one_is_noticed_by_all(backend: Backend) {
    let system = with_orders(backend).await;
    let another = match backend {
        Backend::Postgres => "gen_random_uuid()",
        Backend::Sqlite => "'0192f0c1-e0d0-7b33-8000-000000000005'",
    };
    let other = format!(
        "UPDATE feed_event SET id = {another} WHERE sequence = 5;
         UPDATE feed_head SET anchor = (SELECT id FROM feed_event WHERE sequence = 5)"
    );
    tables::run(system.order.database.url(), &other).await;
    halted(&system.invoice.client).await;
    halted(&system.shipping.client).await;
    assert_reached(
        &system.order.reached(),
        &["HistoryDiverged", "CursorRefused"],
    );
    assert_reached(&system.invoice.reached(), &["CursorGone"]);
}

/// Adds a person and an order of theirs; returns both numbers.
async fn order_of_a_person(system: &System) -> (i64, i64) {
    let client = &system.order.client;
    let person = json!({"name": "Doe", "firstname": "Jo", "email": "jo@example.org"});
    let answer = client.post_json("customers", &person).await.unwrap();
    let customer = answer.json()["customerId"].as_i64().unwrap();
    let mut order = new_order();
    order["customer"] = json!(customer);
    let answer = client.post_json("orders", &order).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    (customer, answer.json()["id"].as_i64().unwrap())
}

/// Erases a customer by the command; returns the marks that it has reached.
async fn erase(order: &Service, customer: i64) -> Marks {
    let customer = customer.to_string();
    let mut command = order.command("", &["erase", "--customer", &customer]);
    command.env("RUST_LOG", marks::LOG).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    marks::in_log(&String::from_utf8_lossy(&output.stderr))
}

/// An order cannot be invoiced for a while; meanwhile it is cancelled, and its customer is erased.
async fn a_parked_event_is_overtaken_by_its_erasure(backend: Backend) {
    let system = System::started(backend).await;
    let url = system.invoice.database.url();
    let broken = match backend {
        Backend::Postgres => {
            "ALTER TABLE invoice ADD CONSTRAINT test_broken CHECK (order_id < 0) NOT VALID"
        }
        Backend::Sqlite => {
            "CREATE TRIGGER test_broken BEFORE INSERT ON invoice
             BEGIN SELECT RAISE(ABORT, 'broken'); END"
        }
    };
    tables::run(url, broken).await;
    let (customer, id) = order_of_a_person(&system).await;
    let parked = async |count| {
        until("it is parked", async || {
            let parked = tables::number(url, "SELECT count(*) FROM feed_parked").await;
            (parked == count).then_some(())
        })
        .await;
    };
    parked(1).await;
    load::cancel(&system.order.client, id).await;
    parked(2).await;
    erase(&system.order, customer).await;
    // The order cannot be invoiced without its data either: its erasure does not wait for an operator.
    parked(0).await;
    let reasons = "SELECT reason FROM feed_skip ORDER BY sequence";
    until("all are passed over", async || {
        let reasons = tables::texts(url, reasons).await;
        (reasons.len() == 3).then(|| assert!(reasons[0].contains("its data was erased by event")))
    })
    .await;
    assert_reached(&system.invoice.reached(), &["Waiting", "ParkedErased"]);
}

/// Numbering is held up, so that the erasure finds an event in the outbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_number_is_erased() {
    let system = System::started(Backend::Postgres).await;
    let url = system.order.database.url();
    let mut other = PgConnection::connect(url).await.unwrap();
    other
        .execute("BEGIN; SELECT FROM feed_head FOR UPDATE")
        .await
        .unwrap();
    let (customer, id) = order_of_a_person(&system).await;
    let erasing = async {
        // The command waits for the head behind us.
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("the erasure waits", async || {
            (tables::number(url, waits).await > 0).then_some(())
        })
        .await;
        other.execute("COMMIT").await.unwrap();
    };
    let (reached, ()) = tokio::join!(erase(&system.order, customer), erasing);
    assert_reached(&reached, &["ErasedUnnumbered"]);
    assert_reached(&system.order.reached(), &["HeadLocked"]);
    let shipment = system.shipment(id).await;
    assert!(!shipment.to_string().contains("Doe"), "{shipment}");
}

/// Operators move a subscription of many instances back, while they work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_instances_notice_that_a_subscription_was_moved_back() {
    let order = load::order().await;
    let feed = order.client.url("feed");
    let cluster = Cluster::new("invoice", FreshDatabase::postgres().await, &feed);
    let names = ["one", "two", "three", "four"];
    let mut instances = Vec::new();
    for name in names {
        instances.push(cluster.start(name).await);
    }
    cluster.spread(&names).await;
    load::place_many(&order.client, 60).await;
    let newest = load::published(&order).await;
    let url = cluster.database.url();
    let taken = async || {
        patiently("all is taken", async || {
            let open = "SELECT count(*) FROM feed_decision WHERE done_at IS NULL";
            let all = cluster.lowest().await == newest;
            (all && tables::number(url, open).await == 0).then_some(())
        })
        .await;
    };
    taken().await;
    let invoices = tables::rows(url, "invoice", &[]).await;
    // Which of them is first, and who is in between, differs from time to time.
    patiently("it is moved back under the leases of others", async || {
        assert!(cluster.command(&["replay", "--from", "1"]).await.success());
        taken().await;
        let reached = cluster.reached();
        let both = reached.contains("EpochChanged") && reached.contains("DecidedBefore");
        both.then_some(())
    })
    .await;
    // The claims stay: nothing is applied again.
    tables::run(url, "UPDATE feed_subscription SET halted = 'a test'").await;
    let resume = ["resume", "--from-start"];
    assert!(cluster.command(&resume).await.success());
    taken().await;
    assert_eq!(tables::rows(url, "invoice", &[]).await, invoices);
    let marks = ["EpochChanged", "DecidedBefore", "ClaimedBefore"];
    assert_reached(&cluster.reached(), &marks);
}

/// While an instance retries one parked event, another one takes over the partition of the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_in_a_partition_that_was_taken_over_is_left() {
    let order = load::order().await;
    let feed = order.client.url("feed");
    let cluster = Cluster::new("invoice", FreshDatabase::postgres().await, &feed);
    let _instance = cluster.start("one").await;
    let url = cluster.database.url();
    let broken = "ALTER TABLE invoice ADD CONSTRAINT test_broken CHECK (order_id < 0) NOT VALID";
    tables::run(url, broken).await;
    load::place_many(&order.client, 8).await;
    let newest = load::published(&order).await;
    patiently("all are parked", async || {
        (cluster.lowest().await == newest).then_some(())
    })
    .await;
    tables::run(url, "ALTER TABLE invoice DROP CONSTRAINT test_broken").await;
    let mut other = PgConnection::connect(url).await.unwrap();
    let lock = "BEGIN; LOCK TABLE invoice IN ACCESS EXCLUSIVE MODE";
    other.execute(lock).await.unwrap();
    assert!(cluster.command(&["retry", "--all"]).await.success());
    until("the first retry waits", async || {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (tables::number(url, waits).await > 0).then_some(())
    })
    .await;
    // That of the first one is locked.
    let taken_over = "UPDATE feed_partition SET lease_epoch = lease_epoch + 1 WHERE partition IN (
                          SELECT partition FROM feed_partition FOR UPDATE SKIP LOCKED)";
    tables::run(url, taken_over).await;
    other.execute("COMMIT").await.unwrap();
    patiently("all are applied", async || {
        (tables::number(url, "SELECT count(*) FROM feed_parked").await == 0).then_some(())
    })
    .await;
    assert_reached(&cluster.reached(), &["FencedRetry", "EpochChanged"]);
}

/// A consumer of a feed that errs.
async fn consumer_of(fake: &Fake) -> Cluster {
    Cluster::new("invoice", FreshDatabase::sqlite(), &fake.url("/feed"))
}

/// The feed is restored, or its archive is gone, while a consumer is on its way through the pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_is_gone_in_the_middle_of_a_walk_halts() {
    let fake = Fake::start().await;
    let feed = Numbered::new(75);
    feed.serve(&fake);
    fake.at(&feed.address(4), Reply::status(410));
    let cluster = consumer_of(&fake).await;
    let instance = cluster.start("one").await;
    halted(&instance.client).await;
    assert_eq!(cluster.lowest().await, 0, "no batch was full");
    assert_reached(&cluster.reached(), &["CursorGoneInWalk"]);
}

/// A page leads back to the page before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_leads_back_is_left_by_the_cursor() {
    let fake = Fake::start().await;
    let feed = Numbered::new(45);
    feed.serve(&fake);
    let back = feed.document(11, 20).archive().link("current", "/feed");
    let back = back.link("next-archive", &feed.address(1));
    fake.at(&feed.address(2), Reply::feed(back.xml()));
    let cluster = consumer_of(&fake).await;
    let _instance = cluster.start("one").await;
    patiently("all is taken", async || {
        (cluster.lowest().await == 45).then_some(())
    })
    .await;
    assert_reached(&cluster.reached(), &["WrongLink"]);
}

/// A feed without sequences has moved on by more than it shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_is_not_found_again_halts() {
    let fake = Fake::start().await;
    fake.at("/feed", Reply::feed(Atom::of(1..=10).xml()));
    let cluster = consumer_of(&fake).await;
    let instance = cluster.start("one").await;
    let url = cluster.database.url();
    patiently("all is taken", async || {
        let claims = "SELECT count(*) FROM feed_claim";
        (tables::number(url, claims).await == 10).then_some(())
    })
    .await;
    fake.at("/feed", Reply::feed(Atom::of(31..=40).xml()));
    halted(&instance.client).await;
    assert_reached(&cluster.reached(), &["WindowLost"]);
}
