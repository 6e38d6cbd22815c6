//! A database without space: it says so until something is stored that needs some.

use std::time::Duration;

use feed_core::Database;
use feed_core::http::metrics::{Measured, Value};
use harness::on_both_databases;

use crate::faulty_effect::{FaultyEffect, Mistake, Scene};
use crate::support::{Testable, until};

on_both_databases! {
    a_renewal_of_leases_is_no_proof_of_space
    a_renewal_that_found_no_space_finds_it_again
}

const FULL: Mistake = Mistake::Run([
    "DO $$ BEGIN RAISE 'disk full' USING ERRCODE = '53100'; END $$",
    "PRAGMA max_page_count = 1; CREATE TABLE large AS SELECT zeroblob(10000000)",
]);

/// Longer than the interval of renewals.
const RENEWED: Duration = Duration::from_secs(4);

async fn is_writable<B: Testable>(database: &Database<B>) -> bool {
    let metrics = database.measure().await;
    let gauge = metrics
        .iter()
        .find(|metric| metric.name == "database_writable");
    gauge.unwrap().value == Value::Gauge(1.0)
}

async fn a_renewal_of_leases_is_no_proof_of_space<B: Testable>(url: &str) {
    let scene = Scene::<B>::of(url, FaultyEffect::making(FULL)).await;
    let (database, handle) = (scene.database.clone(), scene.consumer.handle());
    let running = tokio::spawn(scene.consumer.run());
    until("it is full", async || !is_writable(&database).await).await;
    handle.pause("a full disk", "eve").await.unwrap();
    until("the last round is over", async || {
        !is_writable(&database).await
    })
    .await;
    tokio::time::sleep(RENEWED).await;
    assert!(!is_writable(&database).await);

    scene.effect.repair();
    let space = ["SELECT 1", "PRAGMA max_page_count = 1000000"];
    B::run(&database, space[B::DIALECT]).await;
    handle.unpause("eve").await.unwrap();
    until("it has stored", async || is_writable(&database).await).await;
    running.abort();
}

/// Without an event since.
async fn a_renewal_that_found_no_space_finds_it_again<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::of(url, FaultyEffect::making(FULL).times(0)).await;
    scene.drain().await;
    let database = scene.database.clone();
    let running = tokio::spawn(scene.consumer.run());
    let full = [
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE 'disk full' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER fail BEFORE UPDATE ON feed_instance FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        "PRAGMA query_only = ON",
    ];
    B::run(&database, full[B::DIALECT]).await;
    until("it is full", async || !is_writable(&database).await).await;
    let space = [
        "DROP TRIGGER fail ON feed_instance",
        "PRAGMA query_only = OFF",
    ];
    B::run(&database, space[B::DIALECT]).await;
    until("it has stored", async || is_writable(&database).await).await;
    running.abort();
}
