//! The power fails, again and again: of all files only what was synced is left. What was
//! acknowledged, or seen in the feed, is still there (V9). `kill -9` does not show that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::programs::{available, succeed};
use harness::{Backend, tables};

use crate::checker::{assert_no_violations, assert_violates};
use crate::fleet::Fleet;
use crate::life::Life;
use crate::plan::{Plan, Whose};

const ALL: [Whose; 3] = [Whose::Order, Whose::Invoice, Whose::Shipping];

/// A disk: a directory, and its content without what was not synced.
struct Disk {
    directory: PathBuf,
    library: PathBuf,
    synced: tempfile::TempDir,
}

impl Disk {
    /// For the files in `directory`, all of which are synced. `None`: without a C compiler.
    async fn of(directory: &Path) -> Option<Self> {
        if !available(&["cc"]) {
            return None;
        }
        let synced = tempfile::Builder::new()
            .prefix("disk")
            .tempdir_in("/tmp")
            .unwrap();
        let library = synced.path().join("power.so");
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library);
        compile.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/power.c"));
        succeed(compile).await;
        let disk = Self {
            directory: directory.to_owned(),
            library,
            synced,
        };
        copy(directory, &disk.files()).await;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(disk.synced.path(), readable).unwrap();
        Some(disk)
    }

    fn files(&self) -> PathBuf {
        self.synced.path().join("files")
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("POWER_FROM", self.directory.display().to_string()),
            ("POWER_TO", self.files().display().to_string()),
        ]
    }

    /// Loses what was not synced.
    async fn lose_power(&self) {
        std::fs::remove_dir_all(&self.directory).unwrap();
        copy(&self.files(), &self.directory).await;
    }
}

/// With owners and permissions.
async fn copy(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-a").args([from, to]);
    succeed(copy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_survive_a_power_loss_on_sqlite() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, "power-sqlite").await;
    let mut disks = Vec::new();
    for whose in ALL {
        let group = fleet.group(whose);
        let directory = group.cluster.database.directory().unwrap();
        let Some(disk) = Disk::of(directory).await else {
            return;
        };
        group.settings.extend(disk.environment());
        disks.push(disk);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for _ in 0..3 {
        life.last(Duration::from_millis(fastrand::u64(1_500..2_500)))
            .await;
        life.fleet.kill_all();
        for disk in &disks {
            disk.lose_power().await;
        }
    }
    life.last(Duration::from_secs(1)).await;
    assert_no_violations(&life.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn acknowledged_changes_survive_a_power_loss_on_postgres() {
    if let Some(directory) = on_postgres("power-postgres", "on").await {
        assert_no_violations(&directory);
    }
}

/// A control of the simulation: a server that answers before it has synced loses what it has
/// answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn the_checker_finds_a_commit_that_is_not_synced() {
    if let Some(directory) = on_postgres("power-control", "off").await {
        assert_violates(&directory, &["V1", "V9"]);
    }
}

async fn on_postgres(name: &str, synchronous_commit: &str) -> Option<PathBuf> {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut fleet = Fleet::prepare(&plan, name).await;
    let server = fleet.server.as_mut()?;
    server.set(&[
        "fsync=on",
        &format!("synchronous_commit={synchronous_commit}"),
    ]);
    server.stop("fast").await;
    let disk = Disk::of(&server.data()).await?;
    server.environment = disk.environment();
    server.launch().await;
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    life.patience = Duration::from_secs(20);
    for _ in 0..2 {
        life.last(Duration::from_millis(fastrand::u64(2_000..3_000)))
            .await;
        // Writes reach files now and then, too.
        tables::run(life.fleet.url(Whose::Order), "CHECKPOINT").await;
        life.last(Duration::from_millis(fastrand::u64(500..1_500)))
            .await;
        life.fleet.history.fault("power loss");
        life.fleet.kill_all();
        let server = life.fleet.server.as_ref()?;
        server.stop("immediate").await;
        disk.lose_power().await;
        // The process that it names is gone, but the kernel may still list it.
        let _ = std::fs::remove_file(server.data().join("postmaster.pid"));
        server.launch().await;
    }
    Some(life.end().await)
}
