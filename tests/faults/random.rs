//! Random faults on both databases: everything dies, freezes, is disconnected, stopped, scaled and
//! restarted at random moments, the database server too, while orders are placed and readers read.
//! A seed decides all of it: `SEED=17 tests/long faults` repeats one run.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use harness::marks::Marks;
use harness::{Backend, tables};

use crate::checker::{assert_no_violations, violations};
use crate::evidence::Evidence;
use crate::forged;
use crate::life::Life;
use crate::plan::{Fault, Plan, Whose};
use crate::reached;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_on_sqlite() {
    assert_no_violations(&live(&Plan::of(1, Backend::Sqlite, 15), "sqlite-1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_on_postgres() {
    assert_no_violations(&live(&Plan::of(1, Backend::Postgres, 15), "postgres-1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_of_the_program_on_sqlite() {
    let plan = Plan::of(2, Backend::Sqlite, 15).with_program();
    assert_no_violations(&live(&plan, "program-sqlite-2").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_of_the_program_on_postgres() {
    let plan = Plan::of(2, Backend::Postgres, 15).with_program();
    assert_no_violations(&live(&plan, "program-postgres-2").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_without_rust_in_which_each_forgery_is_seen() {
    if let Some(plan) = Plan::of(6, Backend::Postgres, 15).without_rust() {
        let mut life = faulty(&plan.with_webhook(), "without-rust-6").await;
        // It takes two hundred events, and a loaded machine may not have placed them yet.
        life.until("a reader has a page that is final", async |fleet| {
            fleet.history.final_pages() > 0
        })
        .await;
        // Nor may it have sent all of them.
        life.quiet(true);
        life.fleet.recover();
        life.until("the webhook has caught up", async |fleet| {
            let newest = tables::number(fleet.url(Whose::Order), "SELECT sequence FROM feed_head");
            let newest = newest.await;
            let sender = fleet.sender.as_ref().unwrap();
            sender.cluster.lowest().await == newest
        })
        .await;
        let left = life.end().await;
        assert_no_violations(&left);
        forged::assert_each_is_seen(&Evidence::read(&left));
    }
}

/// So many seeds reach all marks together.
const ALL: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_with_a_webhook_on_sqlite() {
    let plan = Plan::of(3, Backend::Sqlite, 15).with_webhook();
    assert_no_violations(&live(&plan, "webhook-sqlite-3").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_with_a_webhook_on_postgres() {
    let plan = Plan::of(3, Backend::Postgres, 15).with_webhook();
    assert_no_violations(&live(&plan, "webhook-postgres-3").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_behind_a_session_pooler() {
    if let Some(plan) = Plan::of(5, Backend::Postgres, 15).behind_pooler() {
        assert_no_violations(&live(&plan, "session-pooler-5").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_behind_a_transaction_pooler() {
    let plan = Plan::of(8, Backend::Postgres, 15).with_program();
    if let Some(plan) = plan.behind_pooler() {
        assert_no_violations(&live(&plan, "transaction-pooler-8").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_with_a_backlog_on_sqlite() {
    let plan = Plan::of(7, Backend::Sqlite, 15).with_burst(2_000);
    assert_no_violations(&live(&plan, "backlog-sqlite-7").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_random_run_with_a_backlog_on_postgres() {
    let plan = Plan::of(7, Backend::Postgres, 15).with_burst(3_000);
    assert_no_violations(&live(&plan, "backlog-postgres-7").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long faults"]
async fn many_random_runs() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let first = number("SEED").unwrap_or(1);
    let alone = if number("SEED").is_some() { 1 } else { ALL };
    let count = number("SEEDS").unwrap_or(alone);
    let seconds = number("SPAN").unwrap_or(30);
    let reached = Mutex::new(Marks::new());
    for seed in first..first + count {
        let one = async |backend: Backend, name: &str| {
            let plan = Plan::of(seed, backend, seconds);
            if let Some(plan) = varied(plan) {
                let left = live(&plan, &format!("{name}-{seed}")).await;
                assert_no_violations(&left);
                reached.lock().unwrap().extend(reached::read(&left));
            }
        };
        tokio::join!(
            one(Backend::Sqlite, "sqlite"),
            one(Backend::Postgres, "postgres")
        );
    }
    // A few lives need not meet everything.
    if count >= ALL {
        reached::assert_all_reached(&reached.into_inner().unwrap());
    }
}

/// Each second run has the program in it, and each fourth one nothing else of ours. Each third has a webhook, or a backlog,
/// and two of five a pooler.
fn varied(plan: Plan) -> Option<Plan> {
    let (seed, backend) = (plan.seed, plan.backend);
    let mut plan = match (seed % 4, backend) {
        (0, Backend::Postgres) => plan.without_rust()?,
        (0 | 2, _) => plan.with_program(),
        _ => plan,
    };
    plan = match seed % 3 {
        0 => plan.with_webhook(),
        // A SQLite file has one consumer, which syncs each batch.
        1 if backend == Backend::Sqlite => plan.with_burst(1_000),
        1 => plan.with_burst(2_000),
        _ => plan,
    };
    match (seed % 5, backend) {
        (2 | 3, Backend::Postgres) => plan.behind_pooler(),
        _ => Some(plan),
    }
}

/// Checks a run again by what it left: `DIRECTORY=… cargo test -p harness --test faults check_the_evidence --
/// --ignored`.
#[test]
#[ignore = "needs a run that has left something"]
fn check_the_evidence_of_a_run() {
    let directory = std::env::var_os("DIRECTORY").expect("DIRECTORY names what a run has left");
    let violations = violations(&PathBuf::from(directory));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Runs one plan; returns the directory of its evidence.
async fn live(plan: &Plan, name: &str) -> PathBuf {
    faulty(plan, name).await.end().await
}

/// The same up to the end of its faults.
async fn faulty(plan: &Plan, name: &str) -> Life {
    let mut life = Life::start(plan, name).await;
    let mut begin = Instant::now();
    for (at, fault) in &plan.faults {
        let at = Duration::from_millis(*at);
        life.last(at.saturating_sub(begin.elapsed())).await;
        let injecting = Instant::now();
        life.inject(*fault).await;
        if let Fault::Burst(_) = fault {
            // What follows meets consumers that catch up.
            begin += injecting.elapsed();
        }
    }
    life.last(plan.span.saturating_sub(begin.elapsed())).await;
    life
}
