//! Consumers of a feed that requires credentials: with right ones, with wrong ones, and with new
//! ones.

use std::time::Duration;

use harness::{Backend, Process, Service, until};
use serde_json::json;

use super::{CREDENTIALS, protected, started};

crate::on_both! {
    an_order_becomes_an_invoice_and_a_shipment
    wrong_credentials_are_reported_as_an_outage
    new_credentials_need_no_restart
    commands_send_credentials_too
}

async fn an_order_becomes_an_invoice_and_a_shipment(backend: Backend) {
    let mut system = started(backend).await;
    // With a name and a password, and with a token.
    let file = system
        .shipping
        .file("feed-credentials", "second-reader-token");
    system.shipping.set("FEED_CREDENTIALS_FILE", file);
    assert_eq!(system.shipping.stop().await, Some(0));
    system.shipping.start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(system.place().await);
    }
    for id in ids {
        assert_eq!(system.invoice(id).await["total"].to_string(), "184.00");
        system.shipment(id).await;
    }
}

/// The error of the last poll in the status, once there is one.
async fn last_error(consumer: &Service) -> String {
    until("the status says what is wrong", async || {
        let status = consumer.client.json("status").await?;
        status["last_error"].as_str().map(str::to_owned)
    })
    .await
}

async fn wrong_credentials_are_reported_as_an_outage(backend: Backend) {
    let mut system = protected(backend).await;
    system.order.start().await;
    let id = system.place().await;
    let wrong = system.invoice.file("wrong", "reader:s3cret\n");
    system.invoice.set("FEED_CREDENTIALS_FILE", wrong);
    system.shipping.set(
        "FEED_CREDENTIALS_FILE",
        system.shipping.file("none", "s3cret"),
    );
    for consumer in [&mut system.invoice, &mut system.shipping] {
        consumer.start().await;
        let error = last_error(consumer).await;
        for expected in [
            "401",
            "FEED_CREDENTIALS_FILE",
            "no credentials that this service",
        ] {
            assert!(error.contains(expected), "{error}");
        }
        // The page and the log show it; there it is an error.
        let page = [("accept", "text/html")];
        let page = consumer.client.get("status", &page).await.body;
        assert!(
            page.contains("The last poll failed") && page.contains("401"),
            "{page}"
        );
        let status = consumer.client.json("status").await.unwrap();
        assert_eq!(
            status["halted"],
            json!(null),
            "it continues by itself: {status}"
        );
        let ready = consumer.client.anonymous().get("health/ready", &[]).await;
        assert_eq!(ready.status, 200, "its pages are still served");
        let log = consumer.process().unwrap().log();
        let errors = log.lines().filter(|line| line.contains("ERROR"));
        assert_eq!(errors.count(), 1, "{log}");
        assert!(!format!("{log}{error}{page}{status}").contains("s3cret"));
    }
    // It tries again, and not too often.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let attempts = until("it asks again", async || {
        let log = system.invoice.process()?.log();
        let attempts = log.lines().filter(|line| line.contains("401")).count();
        (attempts >= 2).then_some(attempts)
    });
    let attempts = attempts.await;
    assert!(attempts <= 20, "{attempts} attempts");
    // The file is corrected: nothing else is necessary.
    system.invoice.file("wrong", "reader:first-pass\n");
    system.shipping.file("none", "reader:first-pass\n");
    system.invoice(id).await;
    system.shipment(id).await;
    for consumer in [&system.invoice, &system.shipping] {
        until("nothing is wrong any more", async || {
            let status = consumer.client.json("status").await?;
            (status["last_error"] == json!(null)).then_some(())
        })
        .await;
    }
}

async fn new_credentials_need_no_restart(backend: Backend) {
    let system = started(backend).await;
    let first = system.place().await;
    system.invoice(first).await;
    system.shipment(first).await;
    let order = system.order.process().unwrap();
    let read = async |text: &str| {
        let before = order.log().matches("credentials again").count();
        system.order.file("credentials", text);
        order.signal("HUP");
        until("they are read", async || {
            (order.log().matches("credentials again").count() > before).then_some(())
        })
        .await;
    };
    // A new one beside the old one, then the consumers, then the old one is removed.
    read(&format!("{CREDENTIALS}read reader:third-pass\n")).await;
    for consumer in [&system.invoice, &system.shipping] {
        consumer.file("feed-credentials", "reader:third-pass\n");
    }
    let second = system.place().await;
    system.invoice(second).await;
    system.shipment(second).await;
    read("operate eve:pass:wörd\nread reader:third-pass\n").await;
    let third = system.place().await;
    system.invoice(third).await;
    system.shipment(third).await;
    for consumer in [&system.invoice, &system.shipping] {
        let log = consumer.process().unwrap().log();
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
    }
}

async fn commands_send_credentials_too(backend: Backend) {
    let system = started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    let directory = tempfile::tempdir().unwrap();
    for (password, code) in [("first-pass", 0), ("s3cret", 2)] {
        let file = directory.path().join("feed-credentials");
        std::fs::write(&file, format!("reader:{password}")).unwrap();
        let feed = system.order.client.url("feed");
        let settings = [
            ("DATABASE_URL", system.invoice.database.url()),
            ("FEED_URL", &feed),
        ];
        let mut command = harness::built("invoice");
        // Before or after the command.
        command
            .args(["reconcile", "--feed-credentials-file"])
            .arg(&file);
        let mut process =
            Process::start_command("reconcile", &mut command, &settings, directory.path());
        assert_eq!(process.ended().await, Some(code), "{}", process.log());
        assert!(!process.log().contains("s3cret"), "{}", process.log());
    }
}
