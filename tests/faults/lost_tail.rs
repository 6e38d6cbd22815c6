//! A failover that loses what had not arrived at the standby: replication was asynchronous. The consumers have read it,
//! since their databases are elsewhere. They halt, and what docs/backup.md says to do then helps.

use std::collections::BTreeSet;

use harness::programs::run;
use harness::{Backend, FreshDatabase, Service, System, new_order, patiently, tables};

use crate::patroni::{Machine, NODES, Patroni};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute: tests/long failover"]
async fn a_failover_that_loses_a_tail_halts_the_consumers_that_have_read_it() {
    let Some(mut patroni) = Patroni::start(false).await else {
        return;
    };
    let mut system = System::new(Backend::Postgres).await;
    system.order.database = FreshDatabase::postgres_at(&patroni.url).await;
    let url = system.order.database.url().to_owned();
    system.order.set("DATABASE_URL", url.clone());
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.start().await;
    }
    let kept = place(&system, 8).await;
    let (primary, _) = patroni.primary().await.unwrap();
    let standbys = (0..NODES).filter(|node| *node != primary);
    let published = "SELECT COALESCE(max(sequence), 0) FROM feed_head";
    for standby in standbys.clone() {
        let there = patroni.url_of(standby, &url);
        patiently("the standby has it", async || {
            (tables::try_number(&there, published).await? == 8).then_some(())
        })
        .await;
    }
    // These are acknowledged, published, and applied by both consumers; and then they are gone.
    let others: Vec<_> = standbys.map(Machine::Node).collect();
    patroni.cut(primary, &others);
    let lost = place(&system, 4).await;
    let before = documents(&system).await;
    patroni.signal(primary, "KILL");
    patiently("another node is the primary", async || {
        let (node, _) = patroni.primary().await?;
        (node != primary).then_some(())
    })
    .await;
    // Not before: the kernel still has bytes for the standbys.
    patroni.join(primary);
    patroni.start_node(primary);

    // It continues by itself, without the tail. The consumers do not follow it.
    let continued = patiently("an order is taken", async || {
        let answer = system
            .order
            .client
            .post_json("orders", &new_order())
            .await?;
        (answer.status == 201).then(|| answer.json()["id"].as_i64())?
    })
    .await;
    for consumer in [&system.invoice, &system.shipping] {
        let reason = patiently("it halts", async || {
            let status = consumer.client.json("status").await?;
            status["halted"].as_str().map(str::to_owned)
        })
        .await;
        assert!(!reason.is_empty());
        let ready = consumer.client.get("health/ready", &[]).await;
        assert_eq!(ready.status, 503, "{}", ready.body);
    }
    assert_eq!(documents(&system).await, before);
    let log = system.order.process().unwrap().log();
    assert!(
        log.contains("the feed went back from") || log.contains("the feed history diverged at"),
        "{log}"
    );

    // What docs/backup.md says.
    assert_eq!(system.order.stop().await, Some(0));
    let feed = system.order.client.url("feed");
    let last = lost.iter().copied().max().unwrap().max(continued);
    let restored = [
        "restored",
        &format!("--last-order={last}"),
        "--last-customer=2",
        "--last-item=4",
    ];
    let said = command(&system.order, &feed, &restored).await;
    assert!(said.contains("next order is"), "{said}");
    system.order.start().await;
    assert_eq!(system.place().await, last + 1);
    for consumer in [&system.invoice, &system.shipping] {
        // It has to notice the new epoch before an operator decides.
        command(consumer, &feed, &["resume", "--from-start"]).await;
        patiently("it has caught up", async || {
            let status = consumer.client.json("status").await?;
            let all = kept.len() + 2;
            (status["sequence"] == all && status["halted"].is_null()).then_some(())
        })
        .await;
        let said = command(consumer, &feed, &["reconcile"]).await;
        for order in &lost {
            assert!(said.contains(&format!("order/{order}")), "{said}");
        }
        for order in &kept {
            assert!(!said.contains(&format!("order/{order}:")), "{said}");
        }
    }
}

/// Places orders, and waits until both consumers have applied them.
async fn place(system: &System, count: usize) -> BTreeSet<i64> {
    let mut placed = BTreeSet::new();
    for _ in 0..count {
        placed.insert(system.place().await);
    }
    for id in &placed {
        system.invoice(*id).await;
        system.shipment(*id).await;
    }
    placed
}

async fn documents(system: &System) -> [Vec<String>; 2] {
    [
        tables::rows(system.invoice.database.url(), "invoice", &[]).await,
        tables::rows(system.shipping.database.url(), "shipment", &[]).await,
    ]
}

/// What a command of a service prints.
async fn command(service: &Service, feed: &str, arguments: &[&str]) -> String {
    let output = run(service.command(feed, arguments)).await;
    let said = String::from_utf8_lossy(&output.stdout);
    format!("{said}{}", String::from_utf8_lossy(&output.stderr))
}
