//! Orders by HTTP on SQLite with `synchronous=FULL`, 32 writers.
//!
//! Against the same statements through sqlx in this process, one order a commit, one writer, no
//! HTTP: SQLite has one writer at a time, and each commit waits for the disk.

use std::time::Instant;

use anyhow::{Context, Result};
use feed_core::http::BaseUrl;
use feed_core::{Database, Feed, FeedSettings, outbox};
use order::order::CustomerId;
use order::representation::draft;
use order::store::Store;
use sqlx::Sqlite;
use tokio_util::sync::CancellationToken;

use crate::http::{new_order, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let file = |name: &str| format!("sqlite:{}", lab.directory.join(name).display());
    let ours = lab
        .start(Start::service("order", &file("orders.db")))
        .await?;
    let database = Database::<Sqlite>::open(&file("bare.db")).await?;
    let migrations = <Sqlite as Store>::MIGRATIONS;
    database.migrate("_order_migrations", migrations).await?;
    let base: BaseUrl = "http://127.0.0.1:8081/".parse()?;
    let settings = FeedSettings {
        author: "Shop".to_owned(),
        ..FeedSettings::new(base.clone(), "Orders")
    };
    // Creates the row of the head; the feed itself does not run.
    Feed::open(database.clone(), settings, CancellationToken::new()).await?;
    let request = new_order();
    let body = request.split(|byte| *byte == b'\n').next_back();
    let wanted = draft(&serde_json::from_slice(body.unwrap_or_default())?);
    let (requests, time) = (vec![request.clone()], lab.seconds(6.0, 2.0));
    let figure = Figure::new("orders, 32 writers", "/s", Goal::RatioAtLeast(0.6));
    lab.compare(
        [figure.against("same statements, one writer, no HTTP")],
        async || Ok([rate(ours.address, requests.clone(), 32, time, 201).await?]),
        async || {
            let (begin, mut orders) = (Instant::now(), 0);
            while begin.elapsed() < time {
                let mut tx = database.begin().await?;
                let customer = wanted.customer.map(CustomerId);
                let catalog = Sqlite::named(&mut tx, customer, &wanted.items()).await?;
                let new = wanted.clone().check(&catalog);
                let new = new.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
                let order = Sqlite::insert(&mut tx, new)
                    .await?
                    .context("the customer is gone")?;
                outbox::append(&mut tx, &order.placed(&base)).await?;
                tx.commit().await?;
                orders += 1;
            }
            Ok([f64::from(orders) / begin.elapsed().as_secs_f64()])
        },
    )
    .await
}
