//! Random lives on both databases: everything dies, freezes, is cut off, stopped, scaled and started
//! again at random moments, the database server too, while orders come in and readers read. A seed
//! decides all of it: `SEED=17 tests/long faults` does the same again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::{Backend, patiently};

use crate::clients::Clients;
use crate::evidence;
use crate::fleet::Fleet;
use crate::plan::{Plan, Whose};
use crate::readers::Readers;
use crate::verdict::{assert_innocent, violations};

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
    let (first, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("SEEDS").unwrap_or(20)),
    };
    let seconds = number("SECONDS").unwrap_or(30);
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

/// Judges a run again by what it left: `DIRECTORY=… cargo test -p harness --test faults judge --
/// --ignored`.
#[test]
#[ignore = "needs a run that has left something"]
fn judge_what_a_run_has_left() {
    let directory = std::env::var_os("DIRECTORY").expect("DIRECTORY names what a run has left");
    let violations = violations(&PathBuf::from(directory));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Lives through one plan; returns where it has left its evidence.
pub(crate) async fn live(plan: &Plan, name: &str) -> PathBuf {
    let mut fleet = Fleet::start(plan, name).await;
    let clients = Clients::start(plan, &fleet.front.url, &fleet.history);
    let readers = Readers::start(&fleet.front.url, &fleet.history);
    let begin = Instant::now();
    let mut faults = plan.faults.iter().peekable();
    while begin.elapsed() < plan.span {
        fleet.supervise();
        while let Some((_, fault)) =
            faults.next_if(|(at, _)| Duration::from_millis(*at) <= begin.elapsed())
        {
            fleet.suffer(*fault).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    end(fleet, clients, readers).await
}

/// From here on nothing happens to them but that the frozen ones wake up: waits until all is taken, and
/// writes the evidence.
pub(crate) async fn end(mut fleet: Fleet, clients: Clients, readers: Readers) -> PathBuf {
    fleet.settle().await;
    fleet.history.mark("last fault");
    clients.stop().await;
    level(&fleet).await;
    fleet.history.mark("level");
    readers.stop().await;
    evidence::write(&fleet).await;
    fleet.directory.clone()
}

/// Waits until everything that is told is taken.
async fn level(fleet: &Fleet) {
    let order = fleet.url(Whose::Order);
    patiently("all is told and taken", async || {
        let unnumbered = match harness::tables::is_postgres(order) {
            true => harness::tables::number(order, "SELECT count(*) FROM feed_outbox").await,
            false => 0,
        };
        let newest = harness::tables::number(order, "SELECT sequence FROM feed_head").await;
        for group in &fleet.groups[1..] {
            if unnumbered > 0 || group.cluster.lowest().await < newest {
                return None;
            }
        }
        Some(())
    })
    .await;
}
