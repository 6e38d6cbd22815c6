//! Random faults on both databases: everything dies, freezes, is disconnected, stopped, scaled and
//! restarted at random moments, the database server too, while orders are placed and readers read.
//! A seed decides all of it: `SEED=17 tests/long faults` repeats one run.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::Backend;

use crate::judge::{assert_innocent, violations};
use crate::life::Life;
use crate::plan::Plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_life_on_sqlite() {
    assert_innocent(&live(&Plan::of(1, Backend::Sqlite, 15), "sqlite-1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_life_on_postgres() {
    assert_innocent(&live(&Plan::of(1, Backend::Postgres, 15), "postgres-1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long faults"]
async fn many_lives() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let first = number("SEED").unwrap_or(1);
    let alone = if number("SEED").is_some() { 1 } else { 20 };
    let count = number("SEEDS").unwrap_or(alone);
    let seconds = number("SPAN").unwrap_or(30);
    for seed in first..first + count {
        let one = async |backend: Backend, name: &str| {
            let plan = Plan::of(seed, backend, seconds);
            assert_innocent(&live(&plan, &format!("{name}-{seed}")).await);
        };
        tokio::join!(
            one(Backend::Sqlite, "sqlite"),
            one(Backend::Postgres, "postgres")
        );
    }
}

/// Checks a run again by what it left: `DIRECTORY=… cargo test -p harness --test faults judge --
/// --ignored`.
#[test]
#[ignore = "needs a run that has left something"]
fn judge_what_a_run_has_left() {
    let directory = std::env::var_os("DIRECTORY").expect("DIRECTORY names what a run has left");
    let violations = violations(&PathBuf::from(directory));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Runs one plan; returns the directory of its evidence.
async fn live(plan: &Plan, name: &str) -> PathBuf {
    let mut life = Life::start(plan, name).await;
    let begin = Instant::now();
    for (at, fault) in &plan.faults {
        let at = Duration::from_millis(*at);
        life.last(at.saturating_sub(begin.elapsed())).await;
        life.fleet.suffer(*fault).await;
    }
    life.last(plan.span.saturating_sub(begin.elapsed())).await;
    life.end().await
}
