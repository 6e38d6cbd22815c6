//! The server of a consumer's database fails over to one that has lost its last commits, while the consumer runs.

use std::process::Command;

use harness::programs::{available, succeed};
use harness::server::Server;
use harness::{Backend, FreshDatabase, System, tables, until};

/// Without news from the feed, nothing else would show that the position in memory is ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_takes_again_what_its_database_has_lost() {
    if !available(&["initdb"]) {
        return;
    }
    let server = Server::start(&["fsync=off"], &[]).await;
    let database = FreshDatabase::postgres_at(&server.url).await;
    let mut system = System::new(Backend::Sqlite).await;
    let invoice = &mut system.invoice;
    invoice.set("DATABASE_URL", database.url().to_owned());
    system.order.start().await;
    system.invoice.start().await;
    let invoiced = async |orders: i64| {
        until("all orders are invoiced", async || {
            let count = tables::try_number(database.url(), "SELECT count(*) FROM invoice");
            (count.await == Some(orders)).then_some(())
        })
        .await;
    };
    for _ in 0..3 {
        system.place().await;
    }
    invoiced(3).await;
    let behind = server.data().with_extension("behind");
    server.stop("fast").await;
    copy(&server.data(), &behind).await;
    server.launch().await;
    for _ in 0..3 {
        system.place().await;
    }
    invoiced(6).await;
    server.stop("immediate").await;
    std::fs::remove_dir_all(server.data()).unwrap();
    copy(&behind, &server.data()).await;
    server.launch().await;
    invoiced(6).await;
}

async fn copy(from: &std::path::Path, to: &std::path::Path) {
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(from).arg(to);
    succeed(copy).await;
}
