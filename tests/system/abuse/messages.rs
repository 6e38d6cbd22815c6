//! Messages that are invalid HTTP, or nearly.

use std::time::Duration;

use harness::{Backend, System};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{connect, rest, serves_others};

const POST: &str = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

/// Each is refused or closed, and never understood as two requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused() {
    let mut system = System::new(Backend::Sqlite).await;
    system.order.start().await;
    let client = &system.order.client;
    let chunked = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    let smuggled = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let messages: Vec<Vec<u8>> = vec![
        b"\r\n\r\n\r\n\r\nnothing\r\n\r\n".into(),
        vec![0; 100_000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03TLS, perhaps\r\n\r\n".into(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n".into(),
        b"GET\r\n\r\n".into(),
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n".into(),
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: folded\r\n\r\n".into(),
        b"GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n".into(),
        format!("{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello{smuggled}").into(),
        format!("{POST}Content-Length: -1\r\n\r\n{smuggled}").into(),
        format!("{POST}Content-Length: 99999999999999999999999\r\n\r\n").into(),
        format!("{chunked}zz\r\n{smuggled}").into(),
        format!("{chunked}-1\r\nx\r\n0\r\n\r\n").into(),
        format!("{chunked}ffffffffffffffffff\r\nx").into(),
        format!("{chunked}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000)).into(),
        format!("{chunked}5\r\nhelloooo\r\n0\r\n\r\n").into(),
        format!("{chunked}0\r\n{}\r\n", "T: x\r\n".repeat(20_000)).into(),
        format!("{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n").into(),
        format!(
            "{POST}Content-Length: 5000000\r\n\r\n{}",
            "x".repeat(2_000_000)
        )
        .into(),
    ];
    for (number, message) in messages.into_iter().enumerate() {
        let mut stream = connect(client).await;
        // The service need not read all of it.
        let writing = stream.write_all(&message);
        let _ = tokio::time::timeout(Duration::from_secs(2), writing).await;
        let _ = stream.shutdown().await;
        let answer = rest(stream).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{number}: {answer}");
        assert!(!answer.contains("HTTP/1.1 200"), "{number}: {answer}");
    }
    serves_others(client).await;
    let log = system.order.process().unwrap().log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

/// All at once, and answered one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() {
    const MANY: usize = 500;
    let mut system = System::new(Backend::Sqlite).await;
    system.order.start().await;
    let mut stream = connect(&system.order.client).await;
    let mut all = String::new();
    for number in 0..MANY {
        // The error repeats the number.
        all += &format!("GET /feed?before=x{number}x HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    all += "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (mut read, mut write) = stream.split();
    let mut answers = String::new();
    let (written, all_read) = tokio::join!(
        write.write_all(all.as_bytes()),
        tokio::time::timeout(harness::DEADLINE, read.read_to_string(&mut answers))
    );
    written.unwrap();
    all_read.expect("in time").unwrap();
    let mut rest = answers.as_str();
    for number in 0..MANY {
        let this = format!("before=x{number}x");
        let at = rest
            .find(&this)
            .unwrap_or_else(|| panic!("{number}: {rest}"));
        rest = &rest[at + this.len()..];
    }
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
}
