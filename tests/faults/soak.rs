//! Half an hour of load with restarts, on both databases at the same time: what should keep its
//! size does. `MINUTES=3 tests/long soak` for less.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use harness::tables::{is_postgres, number};
use harness::{Backend, FreshDatabase};
use serde_json::json;

use crate::checker::assert_no_violations;
use crate::evidence::Evidence;
use crate::fleet::Fleet;
use crate::life::Life;
use crate::plan::{Fault, Plan, Whose};
use crate::rules;

/// Between two measurements.
const EACH: Duration = Duration::from_secs(5);

/// Claims that may stay: those within the margin below the cursor, and those that are added until
/// the next sweep.
const CLAIMS: i64 = 12_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half an hour: tests/long soak"]
async fn soak() {
    let minutes = std::env::var("MINUTES").map_or(30, |minutes| minutes.parse().unwrap());
    let span = Duration::from_secs(60 * minutes);
    let grown = tokio::join!(
        soaked(Backend::Sqlite, [1, 1, 1], span, "soak-sqlite"),
        soaked(Backend::Postgres, [2, 3, 2], span, "soak-postgres"),
    );
    let grown = [grown.0, grown.1].concat();
    assert!(grown.is_empty(), "grown: {grown:#?}");
}

/// Returns what has grown.
async fn soaked(
    backend: Backend,
    instances: [usize; 3],
    span: Duration,
    name: &str,
) -> Vec<String> {
    let mut plan = Plan::quiet(backend, instances);
    plan.pauses = vec![250; 4];
    plan.few_readers = true;
    let mut life = Life::start(&plan, name).await;
    let (begin, mut rng) = (Instant::now(), Rng::with_seed(plan.seed));
    let mut restart = Instant::now() + Duration::from_secs(20);
    while begin.elapsed() < span {
        life.last(EACH).await;
        if restart < Instant::now() {
            restart = Instant::now() + Duration::from_secs(rng.u64(10..40));
            life.fleet.inject(fault(&mut rng, backend)).await;
            life.fleet.settle().await;
        }
        look(&life.fleet).await;
    }
    let directory = life.end().await;
    let grown = table(name, &Evidence::read(&directory));
    assert_no_violations(&directory);
    grown
}

/// Where there are several instances, the oldest stays.
fn fault(rng: &mut Rng, backend: Backend) -> Fault {
    if backend == Backend::Sqlite {
        return match rng.bool() {
            true => Fault::Kill(Whose::Invoice, 0),
            false => Fault::Stop(Whose::Invoice, 0),
        };
    }
    let (whose, youngest) = match rng.u8(0..3) {
        0 => (Whose::Order, 1),
        1 => (Whose::Invoice, 2),
        _ => (Whose::Shipping, 1),
    };
    match rng.u8(0..4) {
        0 => Fault::Cut(whose),
        1 => Fault::Stop(whose, youngest),
        _ => Fault::Kill(whose, youngest),
    }
}

async fn look(fleet: &Fleet) {
    let history = &fleet.history;
    let tell = |what: String, size: i64, bound: i64| {
        history.measured(json!({"what": what, "size": size, "bound": bound}));
    };
    for group in &fleet.groups {
        let (service, database) = (group.cluster.service, &group.cluster.database);
        if let Some(oldest) = group.running.first() {
            let id = oldest.process.id();
            tell(format!("{service}: memory, KiB"), memory(id), 0);
            tell(format!("{service}: file descriptors"), descriptors(id), 0);
        }
        let url = database.url();
        if is_postgres(url) {
            let connections = "SELECT count(*) FROM pg_stat_activity
                               WHERE datname = current_database() AND pid <> pg_backend_pid()";
            tell(
                format!("{service}: connections"),
                number(url, connections).await,
                0,
            );
        }
        if let Some(wal) = wal(database) {
            tell(format!("{service}: WAL, KiB"), wal, 0);
        }
        if service == "order" {
            continue;
        }
        let claims = number(url, "SELECT count(*) FROM feed_claim").await;
        tell(format!("{service}: claims"), claims, CLAIMS);
    }
    if let Some(server) = &fleet.server {
        let url = fleet.url(Whose::Order);
        let unnumbered = number(url, "SELECT count(*) FROM feed_outbox").await;
        tell("order: events without a number".to_owned(), unnumbered, 0);
        tell(
            "server: WAL, KiB".to_owned(),
            size_of(&server.data().join("pg_wal")),
            0,
        );
    }
}

fn memory(id: u32) -> i64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.map_or(0, |number| number.parse().unwrap())
}

fn descriptors(id: u32) -> i64 {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count) as i64
}

fn wal(database: &FreshDatabase) -> Option<i64> {
    let file = database.directory()?.join("test.db-wal");
    Some(fs::metadata(file).map_or(0, |file| file.len() as i64 / 1024))
}

fn size_of(directory: &Path) -> i64 {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| file.metadata().ok());
    sizes.map(|file| file.len() as i64 / 1024).sum()
}

/// Prints the size of each thing in the first, the middle and the last third; returns what has
/// grown since the middle third. The first one is the warm-up.
fn table(name: &str, evidence: &Evidence) -> Vec<String> {
    let mut all: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut bounded = Vec::new();
    for sample in &evidence.samples {
        let what = rules::text(&sample["what"]);
        all.entry(what)
            .or_default()
            .push(rules::number(&sample["size"]));
        if sample["bound"] != 0 {
            bounded.push(what);
        }
    }
    let mut grown = Vec::new();
    println!("{name:<34} {:>10} {:>10} {:>10}", "first", "middle", "last");
    for (what, sizes) in all {
        let third = sizes.len().div_ceil(3).max(1);
        let means: Vec<i64> = sizes
            .chunks(third)
            .map(|sizes| sizes.iter().sum::<i64>() / sizes.len() as i64)
            .collect();
        let [first, middle, last] = means[..] else {
            panic!("too short: {sizes:?}")
        };
        println!("{what:<34} {first:>10} {middle:>10} {last:>10}");
        // A tenth, and what is too small to matter.
        let slack = if what.ends_with("KiB") { 4_096 } else { 5 };
        if last > middle + middle / 10 + slack && !bounded.contains(&what) {
            grown.push(format!("{name}, {what}: {first}, {middle}, {last}"));
        }
    }
    grown
}
