//! The disk is full, under each service and under the database server, and has room again: requests
//! fail meanwhile, the feed is read as before, and everything continues by itself (the operator
//! starts the server, if it has stopped).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::programs::succeed;
use harness::{Backend, Client, Service, until};

use crate::checker::assert_no_violations;
use crate::fleet::Fleet;
use crate::life::Life;
use crate::plan::{Plan, Whose};

/// A small disk in place of a directory. Removed with it.
struct Disk(PathBuf);

impl Disk {
    /// With room for the content of `directory` and so many MiB more. `None`: we have no right to
    /// mount.
    async fn over(directory: &Path, spare: u64) -> Option<Self> {
        let aside = directory.with_extension("aside");
        fs::rename(directory, &aside).unwrap();
        fs::create_dir(directory).unwrap();
        let mut size = Command::new("du");
        size.args(["-sm"]).arg(&aside);
        let size = succeed(size).await;
        let size: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
        let mut mount = Command::new("mount");
        mount.args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={}m", size + spare),
            "tmpfs",
        ]);
        let mounted = mount.arg(directory).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: only root can mount a disk that is full");
            return None;
        }
        let disk = Self(directory.to_owned());
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(aside.join(".")).arg(directory);
        succeed(copy).await;
        fs::remove_dir_all(aside).unwrap();
        Some(disk)
    }

    /// Writes until there is no room for one byte more.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        // The owner of the directory could not remove it.
        let _ = fs::remove_dir(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_sqlite_loses_nothing() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, "disk-sqlite").await;
    let mut disks = Vec::new();
    for whose in [Whose::Order, Whose::Invoice] {
        let directory = fleet.group(whose).cluster.database.directory().unwrap();
        let Some(disk) = Disk::over(directory, 16).await else {
            return;
        };
        disks.push(disk);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for disk in disks.iter().chain(&disks) {
        life.last(Duration::from_secs(1)).await;
        disk.fill();
        life.fleet.history.fault("disk full");
        life.last(Duration::from_secs(2)).await;
        life.until("it is said", async |fleet| {
            let log = fleet.groups[Whose::Order as usize].running[0].process.log();
            log.contains("disk is full")
        })
        .await;
        is_writable(&mut life, false).await;
        let order = life.fleet.groups[Whose::Order as usize].running[0]
            .client
            .clone();
        assert_eq!(
            order.get("health/ready", &[]).await.status,
            200,
            "for reads"
        );
        let feed = harness::Client::new(&life.fleet.front.url)
            .get("feed", &[])
            .await;
        assert_eq!(feed.status, 200, "{}", feed.body);
        disk.free();
        is_writable(&mut life, true).await;
    }
    life.last(Duration::from_secs(1)).await;
    assert_no_violations(&life.end().await);
}

/// Waits until the metrics of the two services say so.
async fn is_writable(life: &mut Life, expected: bool) {
    let line = format!("database_writable {}", u8::from(expected));
    life.until(&line, async |fleet| {
        let metrics = async |whose: Whose| {
            let client = &fleet.groups[whose as usize].running[0].client;
            client.get("metrics", &[]).await.body
        };
        metrics(Whose::Order).await.contains(&line) && metrics(Whose::Invoice).await.contains(&line)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_full_disk_waits() {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.set("RUST_LOG", "info".to_owned());
    let directory = order.database.directory().unwrap();
    let Some(disk) = Disk::over(directory, 16).await else {
        return;
    };
    for starts in 1..=2 {
        disk.fill();
        order.launch();
        until("it says why it waits", async || {
            let log = order.process()?.log();
            (log.matches("its disk may be full").count() >= starts).then_some(())
        })
        .await;
        disk.free();
        until("it has started", async || {
            let log = order.process()?.log();
            (log.matches("stop with Ctrl-C").count() == starts).then_some(())
        })
        .await;
        let log = order.process().unwrap().log();
        let created = log.matches("created a new, empty database").count();
        assert_eq!(created, 1, "{log}");
        assert_eq!(order.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgres_loses_nothing() {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut fleet = Fleet::prepare(&plan, "disk-postgres").await;
    let server = fleet.server.as_ref().unwrap();
    server.stop("fast").await;
    let Some(disk) = Disk::over(&server.data(), 8).await else {
        return;
    };
    server.own_data().await;
    server.launch().await;
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for _ in 0..2 {
        life.last(Duration::from_secs(2)).await;
        disk.fill();
        life.fleet.history.fault("disk full");
        life.last(Duration::from_secs(4)).await;
        disk.free();
        life.fleet.server.as_ref().unwrap().launch_if_down().await;
    }
    assert_no_violations(&life.end().await);
}

/// Files reach the limit of their size, which is an error of the disk: SQLite then ends the
/// transaction by itself. The processes stay, and write again as soon as possible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_at_its_size_limit_loses_nothing() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut life = Life::start(&plan, "file-size").await;
    for whose in [Whose::Order, Whose::Invoice, Whose::Shipping] {
        life.last(Duration::from_secs(1)).await;
        // Less than the size that the tables take.
        limit(&mut life, whose, "--fsize=180000:unlimited").await;
        life.until("it cannot write", async |fleet| {
            cannot_write(whose, &fleet.groups[whose as usize].running[0].client).await
        })
        .await;
        limit(&mut life, whose, "--fsize=unlimited").await;
    }
    life.last(Duration::from_secs(1)).await;
    for group in &life.fleet.groups {
        let log = group.running[0].process.log();
        let name = group.cluster.service;
        assert_eq!(group.started, 1, "{name} has ended:\n{log}");
    }
    assert_no_violations(&life.end().await);
}

/// By what it answers: its log is a file at its limit, too.
async fn cannot_write(whose: Whose, client: &Client) -> bool {
    if whose == Whose::Order {
        let metrics = client.get("metrics", &[]).await.body;
        let mut counts = metrics.lines();
        return counts
            .any(|line| line.starts_with("http_requests_total{") && line.contains("status=\"5"));
    }
    let status = client.json("status").await;
    let error = status.and_then(|status| status["last_error"].as_str().map(str::to_owned));
    error.is_some_and(|error| error.contains("disk I/O error"))
}

async fn limit(life: &mut Life, whose: Whose, limit: &str) {
    life.fleet.history.fault(&format!("{whose:?} {limit}"));
    let instance = &life.fleet.group(whose).running[0];
    let mut prlimit = Command::new("prlimit");
    prlimit.arg("--pid").arg(instance.process.id().to_string());
    prlimit.arg(limit);
    succeed(prlimit).await;
}
