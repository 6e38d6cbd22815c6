//! A new version replaces the old one while orders are placed: process by process, over one
//! database that both use. No request that was acknowledged is lost, and no effect is doubled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::load::nth_order;
use harness::tables::{number, run};
use harness::{Backend, Client, DEADLINE, Service, System, until};
use tokio::task::JoinHandle;

crate::on_both! {
    a_rolling_restart_loses_and_doubles_nothing
    an_old_program_works_with_the_additions_of_a_new_one
}

/// How long a service may take to stop (`SIGTERM`).
const STOPS: Duration = Duration::from_secs(10);

/// Restarts of each process.
const ROUNDS: usize = 2;

/// Clients that place orders at one of the addresses, or at the next one if that is down; each
/// order has a key, so that it may be sent again.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<BTreeSet<i64>>>,
}

impl Load {
    fn on(addresses: &[Client]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let place = |client: u64| {
            let (stop, addresses) = (Arc::clone(&stop), addresses.to_vec());
            tokio::spawn(async move {
                let mut placed = BTreeSet::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("{client}/{n}");
                    let id = place(&addresses, &key, n).await;
                    assert!(placed.insert(id), "order {id} was placed for two keys");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                placed
            })
        };
        Self {
            clients: (0..4).map(place).collect(),
            stop,
        }
    }

    /// The orders that were acknowledged.
    async fn end(self) -> BTreeSet<i64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut placed = BTreeSet::new();
        for client in self.clients {
            for id in client.await.unwrap() {
                assert!(placed.insert(id), "order {id} was placed for two clients");
            }
        }
        placed
    }
}

/// Places an order, with as many attempts as necessary.
async fn place(addresses: &[Client], key: &str, n: u64) -> i64 {
    let headers = [
        ("idempotency-key", key),
        ("content-type", "application/json"),
    ];
    let body = nth_order(n).to_string();
    let begin = Instant::now();
    while begin.elapsed() < DEADLINE {
        for client in addresses {
            // A service that stops accepts no new connections; it answers the requests that it has.
            if let Some(answer) = client.try_send("POST", "orders", &headers, &body).await {
                assert_eq!(answer.status, 201, "{}", answer.body);
                return answer.json()["id"].as_i64().unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no service accepts an order");
}

/// Restarts a service while a reader waits at its feed, if it has one.
async fn restart(service: &mut Service, is_feed: bool) {
    let client = service.client.clone();
    let tag = match is_feed {
        true => client.get("feed", &[]).await.header("etag").to_owned(),
        false => String::new(),
    };
    let waiting = tokio::spawn(async move {
        let headers = [("if-none-match", tag.as_str()), ("prefer", "wait=30")];
        client.try_send("GET", "feed", &headers, "").await
    });
    let begin = Instant::now();
    assert_eq!(service.stop().await, Some(0));
    assert!(
        begin.elapsed() < STOPS,
        "it took {:?} to stop",
        begin.elapsed()
    );
    waiting.await.unwrap();
    service.start().await;
}

/// Another instance of a service: the same database, the same public address.
async fn beside(service: &Service, name: &'static str, more: &[(&'static str, String)]) -> Service {
    let mut other = Service::new(name, Backend::Sqlite).await;
    other.set("DATABASE_URL", service.database.url().to_owned());
    other.set("BASE_URL", service.client.url(""));
    other.set("INSTANCE", format!("{name}2"));
    for (name, value) in more {
        other.set(name, value.clone());
    }
    other.start().await;
    other
}

/// Fails unless each order has one event, one invoice and one shipment, and there are no others.
async fn each_has_one(system: &System, placed: &BTreeSet<i64>) {
    let orders = placed.len() as i64;
    let count = async |service: &Service, sql: &str| number(service.database.url(), sql).await;
    assert_eq!(
        count(&system.order, "SELECT count(*) FROM orders").await,
        orders
    );
    until("each event has its number", async || {
        let newest = count(&system.order, "SELECT sequence FROM feed_head").await;
        (newest == orders).then_some(())
    })
    .await;
    for (service, table) in [(&system.invoice, "invoice"), (&system.shipping, "shipment")] {
        until(&format!("each order has its {table}"), async || {
            let there = count(service, &format!("SELECT count(*) FROM {table}")).await;
            (there == orders).then_some(())
        })
        .await;
        assert_eq!(count(service, "SELECT count(*) FROM feed_parked").await, 0);
        assert_eq!(count(service, "SELECT count(*) FROM feed_skip").await, 0);
    }
}

async fn a_rolling_restart_loses_and_doubles_nothing(backend: Backend) {
    let mut system = System::started(backend).await;
    // SQLite has one instance of each; there a restart is a short outage.
    let mut others = Vec::new();
    if backend == Backend::Postgres {
        let order = beside(&system.order, "order", &[]).await;
        let feed = vec![("FEED_URL", order.client.url("feed"))];
        for (service, name) in [(&system.invoice, "invoice"), (&system.shipping, "shipping")] {
            others.push(beside(service, name, &feed).await);
        }
        others.insert(0, order);
    }
    let mut addresses = vec![system.order.client.clone()];
    addresses.extend(others.first().map(|order| order.client.clone()));
    let load = Load::on(&addresses);
    for _ in 0..ROUNDS {
        restart(&mut system.order, true).await;
        for (index, other) in others.iter_mut().enumerate() {
            restart(other, index == 0).await;
        }
        restart(&mut system.invoice, false).await;
        restart(&mut system.shipping, false).await;
    }
    let placed = load.end().await;
    assert!(placed.len() > 10, "{}", placed.len());
    // And once more with nothing new, so that the reader at the feed really waits.
    restart(&mut system.order, true).await;
    each_has_one(&system, &placed).await;
}

/// What the next version adds to a database, and records there.
fn addition(table: &str, name: &str, change: &str) -> String {
    format!(
        "{change};
         INSERT INTO {table} (version, description, success, checksum, execution_time)
         SELECT 999, '{name}', success, checksum, execution_time FROM {table} WHERE version = 1"
    )
}

/// Additional columns and tables, for every table that is read and written all the time.
const ADDED: [&str; 6] = [
    "feed_head",
    "feed_event",
    "feed_partition",
    "feed_claim",
    "feed_parked",
    "feed_instance",
];

async fn an_old_program_works_with_the_additions_of_a_new_one(backend: Backend) {
    let mut system = System::started(backend).await;
    let load = Load::on(std::slice::from_ref(&system.order.client));
    let columns: Vec<String> = ADDED
        .iter()
        .map(|table| format!("ALTER TABLE {table} ADD COLUMN colour TEXT"))
        .collect();
    for (service, own, table) in [
        (&system.order, "_order_migrations", "orders"),
        (&system.invoice, "_invoice_migrations", "invoice"),
        (&system.shipping, "_shipping_migrations", "shipment"),
    ] {
        let url = service.database.url();
        run(
            url,
            &addition("_feed_migrations", "expand colour", &columns.join(";")),
        )
        .await;
        let more = format!("ALTER TABLE {table} ADD COLUMN colour TEXT");
        // As its own migrations are named there.
        run(url, &addition(own, "expand_colour", &more)).await;
        let named = format!("SELECT count(*) FROM {own} WHERE description = 'expand lists'");
        assert_eq!(number(url, &named).await, 1);
    }
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        let ready = service.client.get("health/ready", &[]).await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        // The old version restarts, too: it may crash before the upgrade is done.
        restart(service, false).await;
        let ready = service.client.get("health/ready", &[]).await;
        assert_eq!(ready.status, 200, "{}", ready.body);
    }
    let placed = load.end().await;
    each_has_one(&system, &placed).await;

    // Where the next version has removed something, the old one reports it and does not start.
    let contract =
        "UPDATE _feed_migrations SET description = 'contract colour' WHERE version = 999";
    run(system.invoice.database.url(), contract).await;
    let ready = system.invoice.client.get("health/ready", &[]).await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.body.contains("newer than this program"),
        "{}",
        ready.body
    );
    assert_eq!(system.invoice.stop().await, Some(0));
    let process = system.invoice.launch();
    assert_eq!(process.ended().await, Some(1));
    let log = process.log();
    assert!(log.contains("cannot bring its tables up to date"), "{log}");
}
