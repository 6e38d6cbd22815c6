//! Many clients at a time.

use std::process::Command;

use harness::{Backend, Client, Process, System, built, free_address, new_order, until};
use tokio::io::AsyncReadExt;

use super::{connect, deaf, memory, serves_others};

/// More connections than the service may have files; one client has them all, and sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_block_no_other_client() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let database = format!("sqlite:{}", directory.path().join("test.db").display());
    let settings = [("LISTEN", &*address), ("DATABASE_URL", &*database)];
    let mut command = Command::new("sh");
    let limited = "ulimit -n 400 && exec \"$0\"";
    command
        .args(["-c", limited])
        .arg(built("order").get_program());
    let mut order = Process::start_command("order", &mut command, &settings, directory.path());
    let client = Client::new(&format!("http://{address}/"));
    order.ready(&client).await;
    let mut idle = Vec::new();
    for _ in 0..450 {
        idle.push(connect(&client).await);
    }
    // The last of the idle ones are not accepted yet; they are closed in their order.
    let anew = Client::new(&format!("http://{address}/"));
    let served = until("others are served", async || {
        anew.post_json("orders", &new_order()).await
    });
    assert_eq!(served.await.status, 201);
    serves_others(&anew).await;
    assert!(!order.is_gone());
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_that_read_nothing_take_little_memory() {
    let mut system = System::new(Backend::Sqlite).await;
    system.order.start().await;
    system.place().await;
    let client = &system.order.client;
    // Without a cursor of an event, a reader gets the whole head and not what is new.
    let etag = until("the order is in the feed", async || {
        let head = client.get("feed", &[]).await;
        (head.elements("event:sequence") == ["1"]).then(|| head.header("etag").to_owned())
    })
    .await;
    let before = memory(&system.order);
    let wait = format!(
        "GET /feed HTTP/1.1\r\nHost: x\r\nIf-None-Match: {etag}\r\nA-IM: feed\r\nPrefer: wait=30\r\n\r\n"
    );
    let page = "GET /form.html HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000);
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(60_000));
    let mut all = Vec::new();
    for bytes in [wait.as_bytes(), head.as_bytes()] {
        for _ in 0..400 {
            all.push(deaf(client, bytes).await);
        }
    }
    // Each is as long as the service and the system accept.
    for _ in 0..20 {
        all.push(deaf(client, page.as_bytes()).await);
    }
    serves_others(client).await;
    // All that wait are answered, and take no memory.
    system.place().await;
    serves_others(client).await;
    let grown = memory(&system.order).saturating_sub(before);
    println!("{} connections took {grown} MiB", all.len());
    assert!(grown < 150, "{grown} MiB");
    // Clients that do read get what they asked for.
    let mut answer = [0; 12];
    all[0].read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 226");
}

/// Half of each large body, and no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_that_do_not_end_take_little_memory() {
    let mut system = System::new(Backend::Sqlite).await;
    system.order.start().await;
    let client = &system.order.client;
    let before = memory(&system.order);
    let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let body = " ".repeat(1_000_000);
    let announced = format!("{head}Content-Length: 1048000\r\n\r\n{body}");
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}");
    let mut all = Vec::new();
    for bytes in [announced, chunked] {
        for _ in 0..150 {
            all.push(deaf(client, bytes.as_bytes()).await);
        }
    }
    serves_others(client).await;
    system.place().await;
    let grown = memory(&system.order).saturating_sub(before);
    println!("{} bodies took {grown} MiB", all.len());
    assert!(grown < 150, "{grown} MiB");
    let mut last = all.pop().unwrap();
    let mut answer = [0; 12];
    last.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}
