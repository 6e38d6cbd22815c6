//! A consumer that has yet to apply everything: the invoice service as a process of its own reads
//! all events of an order service by HTTP, and writes an invoice for each.
//!
//! Against the statements that it cannot avoid: cursors, claims, counter, invoices and lines, as
//! arrays, 1,000 events a transaction, on one connection, of orders that were read and parsed before.
//! The same disk, the same server, the same rows.
//!
//! Then four instances against one, and the statements for each event.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use invoice::invoice::Invoice;
use invoice::order::Order;
use invoice::store::Store;
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres};

use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

/// How far all partitions are.
const LOWEST: &str = "SELECT min(sequence) FROM feed_partition";

/// An event that is ready to be stored.
struct Ready {
    id: String,
    sequence: i64,
    subject: String,
    invoice: Invoice,
}

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let events = lab.many(100_000, 5_000);
    let orders = lab.history(events).await?;
    let template = lab.database().await?;
    lab.prepare("invoice", &template).await?;
    let order = lab.start(Start::service("order", &orders)).await?;
    let feed = order.url("/feed");
    lab.say("reading the orders");
    let ready = ready(&lab.pool(&orders).await?).await?;
    let [mut alone, mut four, mut statements] = [
        Figure::new("drain, one instance", "events/s", Goal::RatioAtLeast(0.85))
            .against("bare batched statements"),
        Figure::new("drain, four instances", "events/s", Goal::RatioAtLeast(1.0))
            .against("one instance"),
        Figure::new(
            "statements, four instances",
            "an event",
            Goal::RatioAtMost(1.05),
        )
        .against("one instance"),
    ];
    for round in 0..=lab.rounds {
        let mut sides = ["bare", "one", "four"];
        sides.rotate_left(round % 3);
        let mut found = [(0.0, 0.0); 3];
        for side in sides {
            lab.say(format!("round {round} of {}: {side}", lab.rounds));
            let url = lab.copy(&template).await?;
            lab.forget_statements().await?;
            let rate = match side {
                "bare" => bare(&lab.pool(&url).await?, &ready).await?,
                "one" => drain(lab, &url, &feed, events, 1).await?,
                _ => drain(lab, &url, &feed, events, 4).await?,
            };
            let sent = lab.statements(&url).await?;
            // Transactions begin and end with statements too. Leases go by the clock, and so do the
            // looks at how far it is.
            let sent = sent
                .iter()
                .filter(|each| !each.name().starts_with("lease") && each.text != LOWEST);
            let sent: i64 = sent.map(|each| each.calls).sum();
            let index = ["bare", "one", "four"]
                .iter()
                .position(|each| *each == side);
            found[index.context("a side")?] = (rate, sent as f64 / events as f64);
            lab.drop(&url).await?;
        }
        if round == 0 {
            continue;
        }
        let [bare, one, many] = found;
        alone.ours.push(one.0);
        alone.limit.push(bare.0);
        four.ours.push(many.0);
        four.limit.push(one.0);
        statements.ours.push(many.1);
        statements.limit.push(one.1);
    }
    for figure in [alone, four, statements] {
        lab.record(figure);
    }
    Ok(())
}

/// Starts so many instances; returns events per second until all cursors are at the end.
async fn drain(lab: &Lab, url: &str, feed: &str, events: i64, instances: usize) -> Result<f64> {
    let pool = lab.pool(url).await?;
    let begin = Instant::now();
    let mut processes = Vec::new();
    for n in 0..instances {
        let start = Start::service("invoice", url).set("FEED_URL", feed);
        let start = start.set("INSTANCE", format!("invoice-{n}"));
        processes.push(lab.start(start).await?);
    }
    loop {
        let lowest: i64 = sqlx::query_scalar(LOWEST).fetch_one(&pool).await?;
        if lowest >= events {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    let invoices: i64 = sqlx::query_scalar("SELECT count(*) FROM invoice")
        .fetch_one(&pool)
        .await?;
    anyhow::ensure!(invoices == events, "{invoices} invoices of {events} events");
    pool.close().await;
    Ok(rate)
}

/// All events, as a consumer has them before its transaction begins.
async fn ready(pool: &PgPool) -> Result<Vec<Ready>> {
    let rows: Vec<(String, i64, String, DateTime<Utc>, String)> = sqlx::query_as(
        "SELECT 'urn:uuid:' || id, sequence, subject, time, data
         FROM feed_event ORDER BY sequence",
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|(id, sequence, subject, time, data)| {
            let invoice = Invoice::issue(Order::read(&data)?, sequence, time, &id);
            Ok(Ready {
                id,
                sequence,
                subject,
                invoice,
            })
        })
        .collect()
}

/// Nothing but the statements.
async fn bare(pool: &PgPool, events: &[Ready]) -> Result<f64> {
    pool.execute("INSERT INTO feed_subscription (name) VALUES ('bare') ON CONFLICT DO NOTHING")
        .await?;
    pool.execute(
        "INSERT INTO feed_partition (subscription, partition)
         SELECT 'bare', generate_series(0, 15) ON CONFLICT DO NOTHING",
    )
    .await?;
    let mut connection = pool.acquire().await?;
    let begin = Instant::now();
    for batch in events.chunks(1_000) {
        store(&mut connection, batch).await?;
    }
    Ok(events.len() as f64 / begin.elapsed().as_secs_f64())
}

async fn store(connection: &mut PgConnection, batch: &[Ready]) -> Result<()> {
    let column = |value: fn(&Ready) -> &str| batch.iter().map(value).collect::<Vec<&str>>();
    let last = batch.last().context("an event")?;
    let mut tx = connection.begin().await?;
    sqlx::query(
        "UPDATE feed_partition SET epoch = 'bare', sequence = $1, anchor = $2, updated = $3
         WHERE subscription = 'bare'",
    )
    .bind(last.sequence)
    .bind(&last.id)
    .bind(last.invoice.issued)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO feed_claim (subscription, event_id, sequence, subject)
         SELECT 'bare', * FROM UNNEST($1::text[], $2::bigint[], $3::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(column(|event| &event.id))
    .bind(batch.iter().map(|event| event.sequence).collect::<Vec<_>>())
    .bind(column(|event| &event.subject))
    .execute(&mut *tx)
    .await?;
    let count = i64::try_from(batch.len())?;
    Postgres::reserve(&mut tx, last.invoice.number.year, count).await?;
    let invoices: Vec<Invoice> = batch.iter().map(|event| event.invoice.clone()).collect();
    Postgres::insert(&mut tx, &invoices).await?;
    tx.commit().await?;
    Ok(())
}
