//! An HTTP client that costs little, so that the server is what is measured: requests are bytes
//! that were made before, and only the necessary part of an answer is read. Both sides of a row use
//! it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; it is in the connection's buffer until the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Status line and headers, with the empty line at their end.
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// A request without a body.
#[must_use]
pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers, "")
}

#[must_use]
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if method != "GET" {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    (text + "\r\n" + body).into_bytes()
}

/// The order that all benchmarks place, as the order service reads it.
#[must_use]
pub(crate) fn new_order() -> Vec<u8> {
    let body = r#"{"customer":1,"shippingAddress":{"street":"Main Street 1","zip":"10115","city":"Berlin"},"billingAddress":{"street":"Side Street 2","zip":"20095","city":"Hamburg"},"orderLine":[{"item":1,"count":2},{"item":4,"count":1}]}"#;
    request(
        "POST",
        "/orders",
        &[("Content-Type", "application/json")],
        body,
    )
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(256 * 1024),
        })
    }

    /// Sends a request and reads all of the answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.send(request).await?;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    pub(crate) async fn receive(&mut self) -> Result<Answer<'_>> {
        self.buffer.clear();
        let mut looked = 0;
        let head = loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server has closed the connection");
            let from = looked;
            if let Some(end) = find(&self.buffer[from..], b"\r\n\r\n") {
                break from + end + 4;
            }
            looked = self.buffer.len().saturating_sub(3);
        };
        let status = std::str::from_utf8(self.buffer.get(9..12).unwrap_or_default())?;
        let status: u16 = status.parse().context("a status code")?;
        let length: usize = match status {
            204 | 304 => 0,
            _ => match header(&self.buffer[..head], "content-length") {
                Some(length) => length.parse()?,
                None => bail!("an answer without Content-Length"),
            },
        };
        while self.buffer.len() < head + length {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server has closed the connection");
        }
        let (head, body) = self.buffer.split_at(head);
        Ok(Answer { status, head, body })
    }
}

/// Sends requests on so many connections at once, for that long; each connection sends one of
/// `requests` after the other. Returns how many were answered per second.
pub(crate) async fn rate(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
    duration: Duration,
    expected: u16,
) -> Result<f64> {
    let requests = Arc::new(requests);
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let (begin, mut clients) = (Instant::now(), JoinSet::new());
    for (n, mut connection) in open.into_iter().enumerate() {
        let requests = Arc::clone(&requests);
        clients.spawn(async move {
            let mut answered = 0_u64;
            for request in requests.iter().cycle().skip(n) {
                let answer = connection.exchange(request).await?;
                ensure!(
                    answer.status == expected,
                    "{} instead of {expected}: {}",
                    answer.status,
                    String::from_utf8_lossy(answer.body)
                );
                answered += 1;
                if begin.elapsed() >= duration {
                    break;
                }
            }
            anyhow::Ok(answered)
        });
    }
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client??;
    }
    Ok(answered as f64 / begin.elapsed().as_secs_f64())
}

/// One request on a connection of its own; returns head and body.
pub(crate) async fn once(address: SocketAddr, request: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.exchange(request).await?;
    Ok((answer.head.to_vec(), answer.body.to_vec()))
}

/// A header's value in an answer's head.
#[must_use]
pub(crate) fn header(head: &[u8], name: &str) -> Option<String> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines {
        let Some((found, value)) = line.split_at_checked(name.len()) else {
            continue;
        };
        if found.eq_ignore_ascii_case(name.as_bytes()) && value.first() == Some(&b':') {
            return Some(String::from_utf8_lossy(&value[1..]).trim().to_owned());
        }
    }
    None
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}
