//! Backups are taken while the services run, and restored: the order service's, which is then older
//! than what its consumers have read (I8), and a consumer's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use harness::programs::{available, program, succeed};
use harness::tables::{is_postgres, number};
use harness::{Backend, FreshDatabase, Service, System, until};
use serde_json::{Value, json};

use crate::program::Finished;

crate::on_both! {
    an_order_service_that_went_back_is_reported_and_restarts_its_feed
    an_older_feed_is_not_mistaken_for_the_one_that_was_read
    an_order_service_whose_database_is_restored_while_it_runs_reports_it
    a_restored_consumer_applies_the_missing_events
}

const BACKUP: &str = include_str!("../../docs/backup.md");

/// Executes the commands for SQLite below a heading of docs/backup.md, on the file of `url`.
async fn documented(heading: &str, url: &str, backup: &Path) {
    let (_, section) = BACKUP.split_once(heading).unwrap();
    let (_, block) = section.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let lines = block.lines().filter_map(|line| line.strip_prefix("$ "));
    let lines: Vec<&str> = lines.filter(|line| !line.contains("postgres")).collect();
    assert!(lines.len() >= 2, "{block}");
    let script = lines
        .join("\n")
        .replace("data/order.db", url.trim_start_matches("sqlite:"))
        .replace("order-2026-11-26.db", backup.to_str().unwrap());
    let mut shell = program("sh");
    shell.arg("-ec").arg(script);
    succeed(shell).await;
}

/// A backup as docs/backup.md says to take it, while the service runs.
async fn backup(service: &Service, directory: &Path) -> Option<PathBuf> {
    let file = directory.join("backup");
    let url = service.database.url();
    if is_postgres(url) {
        if !available(&["pg_dump", "pg_restore"]) {
            return None;
        }
        let mut dump = program("pg_dump");
        dump.args(["--format", "custom", "--file"])
            .arg(&file)
            .arg(url);
        succeed(dump).await;
    } else {
        if !available(&["sqlite3"]) {
            return None;
        }
        documented("## Back up\n", url, &file).await;
    }
    Some(file)
}

/// Restores it: on PostgreSQL into a new database, whose URL the service gets; on SQLite over a damaged file.
async fn restore(service: &mut Service, file: &Path) {
    if is_postgres(service.database.url()) {
        service.database = FreshDatabase::postgres().await;
        let mut restore = program("pg_restore");
        restore
            .args(["--single-transaction", "--no-owner"])
            .args(["--dbname", service.database.url()])
            .arg(file);
        succeed(restore).await;
    } else {
        // The write-ahead log of a process that was killed is beside it. Its copy of the first page would hide the damage.
        let path = service.database.url().trim_start_matches("sqlite:");
        for file in [path.to_owned(), format!("{path}-wal")] {
            let mut damaged = std::fs::read(&file).unwrap();
            damaged[..32].fill(b'x');
            std::fs::write(file, damaged).unwrap();
        }
        documented("## Restore a backup\n", service.database.url(), file).await;
        for file in [Path::new(path), file] {
            let mode = std::fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let mut check = program("sqlite3");
        check.arg(path).arg("PRAGMA integrity_check");
        assert_eq!(succeed(check).await.trim(), "ok");
    }
    service.set("DATABASE_URL", service.database.url().to_owned());
}

pub(crate) async fn place(system: &System, count: i64) -> i64 {
    let mut id = 0;
    for _ in 0..count {
        id = system.place().await;
    }
    system.invoice(id).await;
    system.shipment(id).await;
    id
}

/// Runs a command of a service.
async fn command(service: &Service, feed: &str, arguments: &[&str]) -> Finished {
    let mut command = service.command(feed, arguments);
    let said = tokio::task::spawn_blocking(move || Finished::by(&mut command));
    said.await.unwrap()
}

async fn halted(service: &Service) -> String {
    until("it halts", async || {
        let status = service.client.json("status").await?;
        status["halted"].as_str().map(str::to_owned)
    })
    .await
}

async fn count(service: &Service, table: &str) -> i64 {
    number(
        service.database.url(),
        &format!("SELECT count(*) FROM {table}"),
    )
    .await
}

async fn add_customer(order: &Service) -> i64 {
    let person = json!({"name": "Last", "firstname": "Anna", "email": "anna@example.com"});
    let answer = order.client.post_json("customers", &person).await.unwrap();
    answer.json()["customerId"].as_i64().unwrap()
}

/// A system whose order service has lost orders 9 to 12, which its consumers have, and customer 3.
async fn gone_back(backend: Backend) -> Option<System> {
    let mut system = System::started(backend).await;
    let directory = tempfile::tempdir().unwrap();
    place(&system, 8).await;
    let file = backup(&system.order, directory.path()).await?;
    place(&system, 4).await;
    assert_eq!(add_customer(&system.order).await, 3);
    system.order.kill();
    restore(&mut system.order, &file).await;
    Some(system)
}

async fn an_order_service_that_went_back_is_reported_and_restarts_its_feed(backend: Backend) {
    if let Some(system) = gone_back(backend).await {
        restarts_its_feed(system).await;
    }
}

/// The steps of docs/backup.md, for an order service that has lost orders 9 to 12.
pub(crate) async fn restarts_its_feed(mut system: System) {
    let feed = system.order.client.url("feed");
    // A number that was used is not used again.
    for [order, customer, item] in [[12, 3, 6], [3, 1, 0]] {
        let restored = [
            "restored",
            &format!("--last-order={order}"),
            &format!("--last-customer={customer}"),
            &format!("--last-item={item}"),
        ];
        let said = command(&system.order, &feed, &restored).await.with(0);
        let next = "The next order is 13, the next customer 4, the next item 7.";
        assert!(said.contains(next), "{said}");
    }
    system.order.start().await;
    assert_eq!(add_customer(&system.order).await, 4);
    // The customer who had this number is lost, and nobody else is erased for them.
    let erased = ["erase", "--customer", "3", "--by", "eve"];
    command(&system.order, &feed, &erased).await.with(2);
    for consumer in [&system.invoice, &system.shipping] {
        let reason = halted(consumer).await;
        assert!(reason.contains("another history"), "{reason}");
        let ready = consumer.client.get("health/ready", &[]).await;
        assert_eq!(ready.status, 503, "{}", ready.body);
    }
    // Orders are placed meanwhile; other subjects do not wait.
    assert_eq!(system.place().await, 13);

    for (consumer, table) in [(&system.invoice, "invoice"), (&system.shipping, "shipment")] {
        command(consumer, &feed, &["resume", "--from-start"])
            .await
            .with(0);
        until("it continues", async || {
            let status = consumer.client.json("status").await?;
            (status["sequence"] == 9 && status["halted"] == Value::Null).then_some(())
        })
        .await;
        let status = consumer.client.json("status").await.unwrap();
        assert_eq!(status["parked"], 0);
        assert_eq!(count(consumer, table).await, 13);
        // The output names what the order service has lost.
        let compared = command(consumer, &feed, &["reconcile"]).await.with(1);
        for lost in 9..=12 {
            assert!(compared.contains(&format!("order/{lost}")), "{compared}");
        }
        assert!(compared.contains("4 differences"), "{compared}");
    }
}

/// An operator who has not read this page and just starts the service is stopped, too: before there
/// are as many events as there were, and after.
async fn an_older_feed_is_not_mistaken_for_the_one_that_was_read(backend: Backend) {
    for orders in [0, 1, 6] {
        let Some(mut system) = gone_back(backend).await else {
            return;
        };
        for consumer in [&mut system.invoice, &mut system.shipping] {
            assert_eq!(consumer.stop().await, Some(0));
        }
        system.order.start().await;
        for _ in 0..orders {
            system.place().await;
        }
        for consumer in [&mut system.invoice, &mut system.shipping] {
            consumer.start().await;
        }
        for consumer in [&system.invoice, &system.shipping] {
            let reason = halted(consumer).await;
            assert!(!reason.is_empty());
            let status = consumer.client.json("status").await.unwrap();
            assert_eq!(status["sequence"], json!(12), "{reason}");
        }
        assert_eq!(count(&system.invoice, "invoice").await, 12);
    }
}

/// The service was not stopped, although it should have been.
async fn an_order_service_whose_database_is_restored_while_it_runs_reports_it(backend: Backend) {
    let system = System::started(backend).await;
    place(&system, 12).await;
    let anchor = "(SELECT id FROM feed_event WHERE sequence = 8)";
    let back = format!(
        "UPDATE feed_head SET sequence = 8, anchor = {anchor}, closed_sequence = 8;
         DELETE FROM feed_event WHERE sequence > 8"
    );
    system.order.database.execute(&back).await;
    until("it says so", async || {
        let log = system.order.process()?.log();
        log.contains("the feed went back from 12 to 8")
            .then_some(())
    })
    .await;
    system.place().await;
    for consumer in [&system.invoice, &system.shipping] {
        halted(consumer).await;
    }
}

async fn a_restored_consumer_applies_the_missing_events(backend: Backend) {
    let mut system = System::started(backend).await;
    let directory = tempfile::tempdir().unwrap();
    place(&system, 5).await;
    let Some(file) = backup(&system.invoice, directory.path()).await else {
        return;
    };
    place(&system, 4).await;
    system.invoice.kill();
    restore(&mut system.invoice, &file).await;
    system.invoice.start().await;
    system.invoice(9).await;
    assert_eq!(count(&system.invoice, "invoice").await, 9);
    let feed = system.order.client.url("feed");
    let compared = command(&system.invoice, &feed, &["reconcile"])
        .await
        .with(0);
    assert!(compared.contains("No difference"), "{compared}");
}
