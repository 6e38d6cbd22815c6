//! A service that starts while its database is away waits: it is alive, not ready, and ready as soon as the database
//! is there.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use harness::programs::available;
use harness::server::Server;
use harness::{
    Backend, Client, FreshDatabase, Process, Service, System, built, free_address, load, until,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use url::Url;

/// Answers of a service that waits: it lives, and everything else is refused for a while.
async fn is_alive_and_not_ready(client: &Client) {
    until("it answers", async || {
        client.try_send("GET", "health/live", &[], "").await
    })
    .await;
    assert_eq!(client.get("health/live", &[]).await.status, 200);
    for (method, path) in [
        ("GET", "health/ready"),
        ("GET", "health/started"),
        ("GET", ""),
        ("GET", "feed"),
        ("POST", "orders"),
        ("DELETE", "nothing/at/all"),
    ] {
        let answer = client.try_send(method, path, &[], "").await.unwrap();
        answer.assert_problem(503);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let page = client.get("", &[("accept", "text/html")]).await;
    assert_eq!(page.status, 503);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.body.contains("waits for what it needs"),
        "{}",
        page.body
    );
    assert_eq!(client.get("style.css", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_start_before_their_database_are_alive_and_wait() {
    if !available(&["initdb"]) {
        return;
    }
    let server = Server::start(&["fsync=off"], &[]).await;
    let mut system = System::new(Backend::Sqlite).await;
    let mut databases = Vec::new();
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        let database = FreshDatabase::postgres_at(&server.url).await;
        service.set("DATABASE_URL", database.url().to_owned());
        databases.push(database);
    }
    server.stop("fast").await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.launch();
    }
    for service in [&system.order, &system.invoice, &system.shipping] {
        is_alive_and_not_ready(&service.client).await;
        let why = "still waiting: nothing answers at postgres://";
        let log = || service.process().unwrap().log();
        until("it says why", async || log().contains(why).then_some(())).await;
    }
    let address = system.order.client.url("");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let probe = built("order")
        .arg("--probe")
        .env("LISTEN", address)
        .output();
    let probe = probe.unwrap();
    assert_eq!(probe.status.code(), Some(1));
    let said = String::from_utf8_lossy(&probe.stderr);
    assert!(said.contains("waits for what it needs"), "{said}");

    server.launch().await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        let client = service.client.clone();
        until("it is ready", async || {
            (client.get("health/ready", &[]).await.status == 200).then_some(())
        })
        .await;
        assert_eq!(client.get("health/started", &[]).await.status, 200);
    }
    load::place(&system.order.client, 1).await.unwrap();
    system.invoice(1).await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        assert_eq!(service.stop().await, Some(0));
    }
    drop(databases);
}

/// The same for all services in one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_waits_for_a_database_is_alive() {
    let directory = tempfile::tempdir().unwrap();
    let file = SqliteConnectOptions::new()
        .filename(directory.path().join("order.db"))
        .create_if_missing(true);
    let mut other = file.connect().await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let address = free_address();
    let data = directory.path().to_str().unwrap();
    let settings = [("LISTEN", address.as_str()), ("DATA_DIR", data)];
    let mut shop = Process::start("shop", &settings, directory.path());
    let client = Client::new(&format!("http://{address}/"));
    is_alive_and_not_ready(&client).await;
    other.execute("ROLLBACK").await.unwrap();
    until("it is open", async || {
        (client.get("order/health/ready", &[]).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(shop.stop("TERM").await, Some(0), "{}", shop.log());
}

/// The address of the database at `url` through a proxy that cuts a connection once so many bytes of answers have gone
/// through; 0: none. It cuts once.
async fn cutting(url: &str, after: Arc<AtomicI64>) -> String {
    let parsed: Url = url.parse().unwrap();
    let host = parsed.query_pairs().find(|(name, _)| name == "host");
    let socket = PathBuf::from(host.unwrap().1.as_ref()).join(".s.PGSQL.5432");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let after = Arc::clone(&after);
            // Ends with an error where it cuts.
            tokio::spawn(async move { pass(client, server, &after).await });
        }
    });
    format!(
        "postgres://postgres@{address}{}?sslmode=disable",
        parsed.path()
    )
}

async fn pass(client: TcpStream, server: UnixStream, after: &AtomicI64) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = async {
        let mut answer = vec![0; 16 * 1024];
        loop {
            let length = from_server.read(&mut answer).await?;
            let left = after.load(Ordering::SeqCst);
            if length == 0 || (left > 0 && left <= length as i64) {
                after.fetch_min(0, Ordering::SeqCst);
                return Ok(());
            }
            if left > 0 {
                after.fetch_sub(length as i64, Ordering::SeqCst);
            }
            to_client.write_all(&answer[..length]).await?;
        }
    };
    tokio::select! {
        done = copy(&mut from_client, &mut to_server) => done.map(drop),
        done = back => done,
    }
}

/// At any point: while it looks at the server, in the middle of migrations, and after them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_loses_its_database_begins_again() {
    let mut cut = 200;
    loop {
        let left = Arc::new(AtomicI64::new(cut));
        let mut order = Service::new("order", Backend::Postgres).await;
        order.set(
            "DATABASE_URL",
            cutting(order.database.url(), left.clone()).await,
        );
        let client = order.client.clone();
        order.launch().ready(&client).await;
        let was_cut = left.swap(0, Ordering::SeqCst) <= 0;
        // A cut right after the start fails a request, as any does.
        let placed = async || load::place(&order.client, 1).await;
        until("it takes an order", placed).await;
        assert_eq!(order.stop().await, Some(0));
        if !was_cut {
            assert!(cut > 10_000, "all of a start was {cut} bytes");
            return;
        }
        cut = cut * 3 / 2;
    }
}
