//! The order service's database is restored to an older state, and continues from there: its
//! consumers have seen events that are gone. They halt and report it, and apply nothing of the
//! other history (I8).

use std::time::Duration;

use harness::marks::assert_reached;
use harness::{Backend, Client, Service, System, load, tables, until};

harness::on_both_backends! {
    consumers_that_are_ahead_of_a_restored_feed_halt
    a_restored_feed_that_has_overtaken_its_consumers_halts_them
    a_feed_restored_to_between_two_cursors_halts_them
}

/// A copy of the database of a service that is stopped.
async fn back_up(order: &Service) {
    match order.database.directory() {
        Some(directory) => {
            std::fs::copy(directory.join("test.db"), directory.join("backup")).unwrap();
        }
        None => {
            let sql = format!("CREATE DATABASE backup_{0} TEMPLATE {0}", name(order));
            tables::run(&server(), &sql).await;
        }
    }
}

async fn restore(order: &Service) {
    match order.database.directory() {
        Some(directory) => {
            std::fs::rename(directory.join("backup"), directory.join("test.db")).unwrap();
            for rest in ["test.db-wal", "test.db-shm"] {
                let _ = std::fs::remove_file(directory.join(rest));
            }
        }
        None => {
            let name = name(order);
            tables::run(&server(), &format!("DROP DATABASE {name} WITH (FORCE)")).await;
            let sql = format!("ALTER DATABASE backup_{name} RENAME TO {name}");
            tables::run(&server(), &sql).await;
        }
    }
}

fn server() -> String {
    std::env::var("TEST_POSTGRES_URL").unwrap()
}

fn name(order: &Service) -> String {
    let url: url::Url = order.database.url().parse().unwrap();
    url.path().trim_start_matches('/').to_owned()
}

/// A system that has applied 30 orders, of which the backup has 20; order is stopped.
async fn ahead(backend: Backend) -> System {
    let mut system = System::started(backend).await;
    load::place_many(&system.order.client, 20).await;
    assert_eq!(system.order.stop().await, Some(0));
    back_up(&system.order).await;
    system.order.start().await;
    load::place_many(&system.order.client, 10).await;
    taken(&system).await;
    assert_eq!(system.order.stop().await, Some(0));
    system
}

async fn restore_while_all_are_stopped(system: &mut System) {
    for consumer in [&mut system.invoice, &mut system.shipping] {
        assert_eq!(consumer.stop().await, Some(0));
    }
    restore(&system.order).await;
}

async fn taken(system: &System) {
    let newest = load::published(&system.order).await;
    for consumer in [&system.invoice, &system.shipping] {
        let lowest = "SELECT min(sequence) FROM feed_partition";
        until("all is taken", async || {
            // It may be creating its tables.
            let taken = tables::try_number(consumer.database.url(), lowest).await?;
            (taken >= newest).then_some(())
        })
        .await;
    }
}

/// Waits until it reports that it is halted, on the page and in the metrics.
async fn halted(client: &Client) {
    until("it is halted", async || {
        let status = client.json("status").await?;
        status["halted"]
            .as_str()
            .filter(|reason| !reason.is_empty())
            .map(drop)
    })
    .await;
    client.get("health/ready", &[]).await.assert_problem(503);
}

async fn documents(system: &System) -> [Vec<String>; 2] {
    let rows = |url: String, table| async move { tables::rows(&url, table, &[]).await };
    [
        rows(system.invoice.database.url().to_owned(), "invoice").await,
        rows(system.shipping.database.url().to_owned(), "shipment").await,
    ]
}

async fn consumers_that_are_ahead_of_a_restored_feed_halt(backend: Backend) {
    let mut system = ahead(backend).await;
    let before = documents(&system).await;
    restore(&system.order).await;
    system.order.start().await;
    load::place_many(&system.order.client, 3).await;
    halted(&system.invoice.client).await;
    halted(&system.shipping.client).await;
    assert_eq!(documents(&system).await, before);
}

async fn a_restored_feed_that_has_overtaken_its_consumers_halts_them(backend: Backend) {
    let mut system = ahead(backend).await;
    let before = documents(&system).await;
    restore_while_all_are_stopped(&mut system).await;
    system.order.start().await;
    // Other events have the sequences that they have seen, and more.
    load::place_many(&system.order.client, 60).await;
    load::published(&system.order).await;
    for consumer in [&mut system.invoice, &mut system.shipping] {
        // It answers, and is not ready.
        consumer.start().await;
        halted(&consumer.client).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(documents(&system).await, before);
}

/// An instance was behind, exactly where the backup is: its cursor is in the feed, but that does
/// not hold for the cursors of the others.
async fn a_feed_restored_to_between_two_cursors_halts_them(backend: Backend) {
    let mut system = ahead(backend).await;
    let before = documents(&system).await;
    restore_while_all_are_stopped(&mut system).await;
    let order = system.order.database.url();
    let sequence = tables::number(order, "SELECT sequence FROM feed_head").await;
    let anchor = "SELECT CAST(anchor AS TEXT) FROM feed_head";
    let anchor = tables::texts(order, anchor).await.remove(0);
    system.order.start().await;
    load::place_many(&system.order.client, 60).await;
    load::published(&system.order).await;
    for consumer in [&mut system.invoice, &mut system.shipping] {
        let behind = format!(
            "UPDATE feed_partition SET sequence = {sequence}, anchor = 'urn:uuid:{anchor}'
             WHERE partition < 8"
        );
        consumer.database.execute(&behind).await;
        consumer.start().await;
        halted(&consumer.client).await;
        assert_reached(&consumer.reached(), &["AheadContradicted"]);
    }
    assert_eq!(documents(&system).await, before);
}
