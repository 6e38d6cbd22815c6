//! Clocks that are wrong, jump, stop or are past 2038: of the services, and of their database
//! server. Ages and leases depend on them; order, and what a `304` hides, must not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Backend, tables};

use crate::checker::assert_no_violations;
use crate::fleet::Fleet;
use crate::life::Life;
use crate::plan::{Plan, Whose};

/// A clock that can be set while its processes run.
struct Clock {
    library: PathBuf,
    file: PathBuf,
    directory: tempfile::TempDir,
}

impl Clock {
    /// `None`: without libfaketime, and `tests/run` has reported why.
    fn new() -> Option<Self> {
        let Some(library) = library() else {
            let reason = std::env::var("TEST_WITHOUT_PROGRAMS");
            let reason = reason.expect("libfaketime is not installed: `tests/run` does that");
            println!("SKIPPED, without libfaketime: {reason}");
            return None;
        };
        let directory = tempfile::Builder::new()
            .prefix("clock")
            .tempdir_in("/tmp")
            .unwrap();
        // The user of the database server reads it, too.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), readable).unwrap();
        let clock = Self {
            library,
            file: directory.path().join("clock"),
            directory,
        };
        clock.set("+0");
        Some(clock)
    }

    /// As libfaketime reads it: `-1h`, `@2038-01-19 03:14:05`, or without the `@` for ever then.
    fn set(&self, time: &str) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{time}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// A process with this environment has this clock. Waits use another one, unless that has to be
    /// wrong, too.
    fn environment(&self, waiting_too: bool) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            (
                "FAKETIME_DONT_FAKE_MONOTONIC",
                u8::from(!waiting_too).to_string(),
            ),
        ]
    }
}

fn library() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?;
    let paths = libraries.map(|entry| entry.unwrap().path());
    let mut paths = paths.map(|path| path.join("faketime/libfaketimeMT.so.1"));
    paths.find(|path: &PathBuf| Path::exists(path))
}

/// What the clocks of order and of the consumers show, one after the other; the named service is
/// killed then, so that what it leaves behind is an hour off for its successor. While the clock of order only advances, each
/// second can be closed, and the head has dates. It has none for a clock that does not move, nor for one that has gone back.
const SHOWN: [(&str, &str, &[Whose], Dates); 7] = [
    (
        "2025-03-30 01:59:59",
        "-1h",
        &[Whose::Order, Whose::Shipping],
        Dates::None,
    ),
    ("-1h", "+0", &[], Dates::Some),
    ("+0", "-1h", &[Whose::Invoice, Whose::Shipping], Dates::Some),
    ("+1h", "+1h", &[Whose::Order, Whose::Invoice], Dates::Ahead),
    ("@2038-01-19 03:14:05", "+0", &[], Dates::Ahead),
    ("+1h", "+1h", &[], Dates::None),
    (
        "+0",
        "+0",
        &[Whose::Order, Whose::Invoice, Whose::Shipping],
        Dates::None,
    ),
];

/// Whether the head has dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    Some,
    /// They are later than now: only a service whose own clock shows them, too, relies on one.
    Ahead,
    None,
}

/// The feed was made when the clock was right: as if it had been made before what the clocks show.
async fn made_long_ago(fleet: &Fleet) {
    let before = "UPDATE feed_head SET updated = '2024-01-01T00:00:00.000Z'";
    tables::run(fleet.url(Whose::Order), before).await;
}

/// Lets orders come while the clock shows this, and then, if one can, waits until the reader by date has relied on a date. The
/// orders of the next phase must not be hidden by it.
async fn phase(life: &mut Life, is_dated: bool) {
    life.last(Duration::from_secs(4)).await;
    if is_dated {
        life.until_dated().await;
    }
}

/// With pauses in which a second can be closed.
fn plan(backend: Backend, instances: [usize; 3]) -> Plan {
    let mut plan = Plan::quiet(backend, instances);
    plan.pauses = vec![3_000; 2];
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_services_on_sqlite_may_be_wrong() {
    let (Some(order), Some(consumers)) = (Clock::new(), Clock::new()) else {
        return;
    };
    let plan = plan(Backend::Sqlite, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, "clocks-sqlite").await;
    fleet
        .group(Whose::Order)
        .settings
        .extend(order.environment(false));
    for whose in [Whose::Invoice, Whose::Shipping] {
        fleet
            .group(whose)
            .settings
            .extend(consumers.environment(false));
    }
    made_long_ago(&fleet).await;
    order.set(SHOWN[0].0);
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for (at_order, at_consumers, killed, dates) in SHOWN {
        life.fleet
            .history
            .fault(&format!("{at_order}, {at_consumers}"));
        order.set(at_order);
        consumers.set(at_consumers);
        for whose in killed {
            life.fleet.group(*whose).kill(0);
        }
        phase(&mut life, dates != Dates::None).await;
    }
    assert_no_violations(&life.end().await);
}

/// The clock of the server stamps events and ends leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn the_clock_of_the_database_server_may_be_wrong() {
    let Some(clock) = Clock::new() else { return };
    let plan = plan(Backend::Postgres, [2, 2, 1]);
    let mut fleet = Fleet::prepare_with(&plan, "clocks-postgres", &clock.environment(false)).await;
    made_long_ago(&fleet).await;
    clock.set(SHOWN[0].0);
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for (shown, _, killed, dates) in SHOWN {
        life.fleet.history.fault(shown);
        clock.set(shown);
        for whose in killed {
            life.fleet.group(*whose).kill(0);
        }
        phase(&mut life, dates == Dates::Some).await;
    }
    assert_no_violations(&life.end().await);
}

/// The clock of order, and all its waits, run at double speed, those of the consumers at half
/// speed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn clocks_may_run_at_different_speeds() {
    let (Some(order), Some(consumers)) = (Clock::new(), Clock::new()) else {
        return;
    };
    order.set("+0 x2");
    consumers.set("+0 x0.5");
    let plan = plan(Backend::Sqlite, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, "clocks-speed").await;
    for (whose, clock) in [
        (Whose::Order, &order),
        (Whose::Invoice, &consumers),
        (Whose::Shipping, &consumers),
    ] {
        fleet.group(whose).settings.extend(clock.environment(true));
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for whose in [Whose::Order, Whose::Invoice, Whose::Shipping] {
        life.last(Duration::from_secs(6)).await;
        life.until_dated().await;
        life.fleet.group(whose).kill(0);
    }
    life.last(Duration::from_secs(6)).await;
    assert_no_violations(&life.end().await);
}
