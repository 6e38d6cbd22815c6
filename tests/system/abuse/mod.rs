//! Clients and feeds that take as much as they get: the service stays up and answers others, and
//! its memory is bounded (I11). How each is refused is tested for
//! `feed-core/chassis/src/connections/mod.rs` and in `tests/consumer`; here a whole process has to bear
//! all of it.

mod feeds;
mod messages;
mod numbers;

use std::time::{Duration, Instant};

use harness::{Client, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long others may wait for an answer, on a machine with other work.
const SOON: Duration = Duration::from_secs(10);

/// A line of `/proc`, in MiB; 0 where there is none.
fn mebibytes(process: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = status.lines().find_map(|l| l.strip_prefix(line));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// The memory of a service now.
fn memory(service: &Service) -> u64 {
    let process = service.process().unwrap();
    mebibytes(process.id(), "VmRSS:")
}

/// A connection that sends given bytes.
async fn connect(client: &Client) -> TcpStream {
    let url: url::Url = client.url("").parse().unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    TcpStream::connect(address).await.unwrap()
}

/// A connection that has sent `bytes`, as far as the service accepts them, and reads nothing.
async fn deaf(client: &Client, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(client).await;
    let writing = stream.write_all(bytes);
    let _ = tokio::time::timeout(Duration::from_millis(500), writing).await;
    stream
}

/// What arrives until the service closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let closed = tokio::time::timeout(harness::DEADLINE, read).await;
    // A reset is an end too.
    let _ = closed.expect("the service closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Another client is answered as usual.
async fn serves_others(client: &Client) {
    answers_soon(client, &["feed", "", "health/ready"]).await;
}

/// The same for a consumer.
async fn serves_pages(client: &Client) {
    answers_soon(client, &["", "status", "health/live"]).await;
}

async fn answers_soon(client: &Client, paths: &[&str]) {
    for path in paths {
        let begin = Instant::now();
        let answer = client.get(path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(begin.elapsed() < SOON, "{path}: {:?}", begin.elapsed());
    }
}
