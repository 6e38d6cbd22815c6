//! No client of the program follows the proxies of the environment: they would see credentials and events.

use std::process::Command;

use axum::Router;
use axum::http::StatusCode;
use harness::fake::{Fake, Reply};
use harness::{Backend, Process, built, free_address, serve as listen, until};

use crate::feed::{database, publish, serve};

/// Sets all variables that name a proxy.
fn through<'c>(command: &'c mut Command, proxy: &str) -> &'c mut Command {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, proxy);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_the_environment_sees_nothing() {
    let proxy = Fake::start().await;
    proxy.at("/", Reply::status(502));
    let address = proxy.url("/");
    let (orders, own) = (
        database(Backend::Sqlite).await,
        database(Backend::Sqlite).await,
    );
    let feed = serve(&orders).await;
    publish(&orders, "order/1", "{}").await;
    let url = feed.client.url("feed");

    // The webhook, and the feed before it.
    let (sent, mut got) = tokio::sync::mpsc::unbounded_channel();
    let hook = Router::new().fallback(async move || {
        let _ = sent.send(());
        StatusCode::NO_CONTENT
    });
    let hook = listen(hook).await;
    let consumer = free_address();
    let arguments = [
        "deliver",
        "--feed-url",
        &url,
        "--database-url",
        own.url(),
        "--to",
        &hook,
        "--listen",
        &consumer,
    ];
    let directory = tempfile::tempdir().unwrap();
    let mut command = built("feed");
    let command = through(command.args(arguments), &address);
    let _deliver = Process::start_command("feed", command, &[], directory.path());
    until("the event is sent", async || got.try_recv().ok()).await;

    let consumer = format!("http://{consumer}");
    for arguments in [
        &["check", &url][..],
        &["status", &consumer],
        &["tail", &url, "--until-now"],
    ] {
        let mut command = built("feed");
        through(command.args(arguments), &address);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
        let ended = ended.await.unwrap();
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    }
    assert_eq!(proxy.asked().len(), 0);
}
