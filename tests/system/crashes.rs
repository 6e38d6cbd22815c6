//! `kill -9` at random moments: an order and its event are both there or neither (I1), and every
//! event has exactly one effect (I5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::{Backend, System, new_order, until};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

crate::on_both! {
    a_consumer_killed_in_mid_batch_has_each_effect_once
    an_order_that_was_acknowledged_survives_a_kill
}

async fn a_consumer_killed_in_mid_batch_has_each_effect_once(backend: Backend) {
    let mut system = System::new(backend).await;
    system.order.start().await;
    let mut placed = 0;
    for round in 0..8 {
        // Each batch is complete before the consumer starts, and the kill hits it at another step.
        for _ in 0..25 {
            system.place().await;
        }
        placed += 25;
        system.invoice.launch();
        let before = system.invoice.database.url().to_owned();
        let begun = until("the consumer is at work", async || {
            let process = system.invoice.process()?;
            process
                .log()
                .contains("applied ")
                .then_some(before.as_str())
        });
        begun.await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..20 * (round + 1)))).await;
        system.invoice.kill();
    }
    system.invoice.start().await;
    let invoices = all(&system, placed).await;
    let ids: BTreeSet<i64> = invoices
        .iter()
        .map(|invoice| invoice["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, (1..=placed).collect());
    // The numbers reveal a second effect, or one that was rolled back with its number kept.
    let numbers: BTreeSet<&str> = invoices
        .iter()
        .map(|i| i["number"].as_str().unwrap())
        .collect();
    assert_eq!(numbers.len(), invoices.len());
    // Of each year, should a new one have begun meanwhile.
    let mut of_year: BTreeMap<&str, i64> = BTreeMap::new();
    for number in &numbers {
        let (year, _) = number.split_once('-').unwrap();
        *of_year.entry(year).or_default() += 1;
    }
    let of_year = of_year.iter();
    let dense: BTreeSet<String> = of_year
        .flat_map(|(year, count)| (1..=*count).map(move |n| format!("{year}-{n:06}")))
        .collect();
    assert_eq!(numbers, dense.iter().map(String::as_str).collect());
    let mut totals = invoices.iter().map(|invoice| invoice["total"].to_string());
    assert!(totals.all(|total| total == "184.00"));
}

/// All invoices, once there are as many as that.
async fn all(system: &System, count: i64) -> Vec<Value> {
    let client = &system.invoice.client;
    until("all invoices are there", async || {
        let first = client.json("").await?;
        (first["count"] == json!(count)).then_some(())
    })
    .await;
    let (mut invoices, mut page) = (Vec::new(), String::new());
    loop {
        let list = client.json(&page).await.unwrap();
        invoices.extend(list["invoices"].as_array().unwrap().iter().cloned());
        match list["_links"]["next"]["href"].as_str() {
            Some(next) => page = next.to_owned(),
            None => return invoices,
        }
    }
}

async fn an_order_that_was_acknowledged_survives_a_kill(backend: Backend) {
    let mut system = System::started(backend).await;
    let mut acknowledged = BTreeSet::new();
    for _ in 0..4 {
        let client = system.order.client.clone();
        let ordering = tokio::spawn(async move {
            let mut ids = Vec::new();
            while let Some(answer) = client.post_json("orders", &new_order()).await {
                if answer.status == 201 {
                    ids.push(answer.json()["id"].as_i64().unwrap());
                }
            }
            ids
        });
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..300))).await;
        system.order.kill();
        acknowledged.extend(ordering.await.unwrap());
        system.order.start().await;
    }
    let last = system.place().await;
    acknowledged.insert(last);

    // Every event has an order, every order has its event, and each an invoice.
    let stored = system.order.client.json("").await.unwrap()["count"]
        .as_i64()
        .unwrap();
    let invoices = all(&system, stored).await;
    let invoiced: BTreeSet<i64> = invoices.iter().map(|i| i["id"].as_i64().unwrap()).collect();
    assert!(acknowledged.is_subset(&invoiced));
    let head = system.order.client.get("feed", &[]).await;
    assert_eq!(head.elements("event:sequence")[0], stored.to_string());
}

/// An open transaction of another writer commits after later ones: its order comes late, and no
/// event is skipped (I2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_a_slow_transaction_is_not_skipped() {
    let system = System::started(Backend::Postgres).await;
    let first = system.place().await;
    system.invoice(first).await;

    let mut slow = PgConnection::connect(system.order.database.url())
        .await
        .unwrap();
    let mut open = slow.begin().await.unwrap();
    // The event of an order with its own number, as another instance would write it.
    sqlx::query(
        "INSERT INTO feed_outbox (id, event_type, subject, time, title, summary, link, data)
         SELECT gen_random_uuid(), event_type, 'order/4711', time, title, summary, link,
                jsonb_set(data::jsonb, '{id}', '4711')::text
         FROM feed_event WHERE sequence = 1",
    )
    .execute(&mut *open)
    .await
    .unwrap();
    let later = [system.place().await, system.place().await];
    for id in later {
        system.invoice(id).await;
        system.shipment(id).await;
    }
    assert_eq!(system.invoice.client.json("4711").await, None);
    open.commit().await.unwrap();
    system.invoice(4711).await;
    system.shipment(4711).await;
    let head = system.order.client.get("feed", &[]).await;
    assert_eq!(head.elements("event:sequence"), ["4", "3", "2", "1"]);
    assert_eq!(head.elements("event:subject")[0], "order/4711");
}
