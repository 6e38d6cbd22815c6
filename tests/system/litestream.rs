//! Litestream copies the SQLite database of the order service elsewhere while it is written; then the disk is lost.

use std::path::Path;
use std::process::Command;

use harness::programs::tool;
use harness::{Backend, Process, System, patiently, tables};

use crate::restore::{place, restarts_its_feed};

/// As docs/backup.md says to restore it.
fn restore(mut litestream: Command, replica: &str, to: &Path) -> bool {
    let restored = litestream.arg("restore").arg("-o").arg(to).arg(replica);
    restored.output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_litestream_has_not_copied_halts_the_consumers() {
    let Some(mut litestream) = tool("litestream") else {
        return;
    };
    let mut system = System::started(Backend::Sqlite).await;
    let file = system.order.database.url().trim_start_matches("sqlite:");
    let file = Path::new(file).to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let replica = format!("file://{}", elsewhere.path().join("replica").display());
    litestream.arg("replicate").arg(&file).arg(&replica);
    let mut copying = Process::start_command("litestream", &mut litestream, &[], elsewhere.path());
    place(&system, 8).await;
    let mut copies = 0;
    patiently("all orders are copied", async || {
        copies += 1;
        let copy = elsewhere.path().join(copies.to_string());
        let url = format!("sqlite:{}", copy.display());
        let orders = match restore(tool("litestream")?, &replica, &copy) {
            true => tables::try_number(&url, "SELECT count(*) FROM orders").await,
            false => None,
        };
        (orders == Some(8)).then_some(())
    })
    .await;
    copying.kill();
    place(&system, 4).await;
    system.order.kill();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    assert!(restore(tool("litestream").unwrap(), &replica, &file));
    restarts_its_feed(system).await;
}
