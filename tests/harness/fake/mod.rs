//! A producer that misbehaves as a test scripts it, and records its requests. HTTP/1.1 by hand,
//! since no server writes a message that ends too early. It is a forward proxy as well.

pub mod atom;
mod numbered;
mod reply;

pub use atom::{Atom, Entry};
pub use numbered::Numbered;
pub use reply::Reply;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The longest request head that is read.
const LONGEST_HEAD: usize = 64 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// In lower case, with values byte for byte.
    pub headers: Vec<(String, Vec<u8>)>,
    /// When it arrived.
    pub at: Instant,
    /// The number of its connection, from 1.
    pub connection: usize,
}

impl Asked {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = self.target.split('?').next();
        path.unwrap_or_default()
    }

    /// The value of `name=` in the query.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then_some(value)
        })
    }

    /// The bytes of a header.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.bytes(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// How long the server may hold the answer back, if it may at all.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        let mut preferences = self.header("prefer")?.split(", ");
        let seconds = preferences.find_map(|preference| preference.strip_prefix("wait="))?;
        Some(Duration::from_secs(seconds.parse().ok()?))
    }
}

/// Bytes of an answer that the system buffers for the client.
const SEND_BUFFER: u32 = 64 * 1024;

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

#[derive(Default)]
struct State {
    scripts: Mutex<HashMap<String, Script>>,
    upstream: Mutex<Option<String>>,
    asked: Mutex<Vec<Asked>>,
    sent: AtomicU64,
}

/// A server on a port of its own. What is not scripted is `404`; a request to another server, as
/// for a proxy, is passed on to it.
#[derive(Clone)]
pub struct Fake {
    address: String,
    state: Arc<State>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fake").field(&self.address).finish()
    }
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Fake {
    /// A server with nothing on it.
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // The system's buffers must not look like bytes that a client has taken.
        let small = socket.set_send_buffer_size(SEND_BUFFER);
        small.expect("a small buffer");
        let any = "127.0.0.1:0".parse().expect("an address");
        socket.bind(any).expect("a free port");
        let listener = socket.listen(1_024).expect("a listener");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        // Ends with the runtime of its test, and the connections with it.
        tokio::spawn(async move {
            for connection in 1.. {
                let Ok((socket, _)) = listener.accept().await else {
                    break;
                };
                let state = Arc::clone(&shared);
                // Many tests are about a client that disconnects.
                tokio::spawn(async move { serve(socket, connection, &state).await });
            }
        });
        Self { address, state }
    }

    /// The address of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on, `target` is answered with `reply`. A target is a path with a query or without;
    /// or, with `*` at its end, all targets with that beginning.
    pub fn at(&self, target: &str, reply: Reply) {
        self.each(target, move |_| reply.clone());
    }

    /// From now on, `target` is answered with what `script` makes of the request.
    pub fn each(&self, target: &str, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        lock(&self.state.scripts).insert(target.to_owned(), Arc::new(script));
    }

    /// From now on, requests without a script go to another server: `http://127.0.0.1:8081`.
    pub fn forward(&self, origin: &str) {
        let address = origin.strip_prefix("http://").expect("an origin");
        *lock(&self.state.upstream) = Some(address.to_owned());
    }

    /// Removes the script for `target`.
    pub fn forget(&self, target: &str) {
        lock(&self.state.scripts).remove(target);
    }

    /// All requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state.asked).clone()
    }

    /// All requests since the last call.
    pub fn news(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.state.asked))
    }

    /// The targets of all requests since the last call.
    pub fn targets(&self) -> Vec<String> {
        let news = self.news();
        news.into_iter().map(|asked| asked.target).collect()
    }

    /// How many bytes of bodies the clients have accepted.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }
}

impl State {
    /// The script of the whole target, of its path, or of the longest beginning.
    fn script(&self, asked: &Asked) -> Option<Script> {
        let scripts = lock(&self.scripts);
        let exact = scripts
            .get(&asked.target)
            .or_else(|| scripts.get(asked.path()));
        let beginning = || {
            let fits = |known: &&String| {
                known
                    .strip_suffix('*')
                    .is_some_and(|beginning| asked.target.starts_with(beginning))
            };
            let longest = scripts.keys().filter(fits).max_by_key(|known| known.len());
            scripts.get(longest?)
        };
        exact.or_else(beginning).cloned()
    }
}

/// Answers the requests of one connection, until one side closes it.
async fn serve(mut socket: TcpStream, connection: usize, state: &State) -> std::io::Result<()> {
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if received.len() > LONGEST_HEAD || socket.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let head: Vec<u8> = received.drain(..end + 4).collect();
        let asked = parse(&head[..end], connection);
        lock(&state.asked).push(asked.clone());
        let script = state.script(&asked);
        let upstream = lock(&state.upstream).clone();
        match (script, upstream) {
            (None, _) if asked.method == "CONNECT" => {
                let mut upstream = TcpStream::connect(&asked.target).await?;
                socket.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
                tokio::io::copy_bidirectional(&mut socket, &mut upstream).await?;
                return Ok(());
            }
            (None, _) if asked.target.starts_with("http://") => {
                let target = &asked.target["http://".len()..];
                let slash = target.find('/').unwrap_or(target.len());
                let upstream = target[..slash].to_owned();
                let asked = Asked {
                    target: target[slash..].to_owned(),
                    ..asked
                };
                return pass_on(&mut socket, &asked, &upstream).await;
            }
            (Some(script), _) if asked.header("connection") == Some("close") => {
                let reply = script(&asked).header("connection", "close");
                reply.send(&mut socket, &state.sent).await?;
                return socket.shutdown().await;
            }
            (Some(script), _) => {
                if !script(&asked).send(&mut socket, &state.sent).await? {
                    return Ok(());
                }
            }
            (None, Some(upstream)) => return pass_on(&mut socket, &asked, &upstream).await,
            (None, None) => {
                Reply::status(404).send(&mut socket, &state.sent).await?;
            }
        }
    }
}

/// Lets another server answer, on a connection of its own.
async fn pass_on(socket: &mut TcpStream, asked: &Asked, upstream: &str) -> std::io::Result<()> {
    let mut request = format!("{} {} HTTP/1.1\r\n", asked.method, asked.target).into_bytes();
    for (name, value) in &asked.headers {
        if name != "connection" {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
    }
    request.extend(b"connection: close\r\n\r\n");
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.write_all(&request).await?;
    tokio::io::copy(&mut upstream, socket).await?;
    socket.shutdown().await
}

fn parse(head: &[u8], connection: usize) -> Asked {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii_end());
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = first.split(' ').map(str::to_owned);
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        Some((name, line[colon + 1..].trim_ascii().to_vec()))
    });
    Asked {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers: headers.collect(),
        at: Instant::now(),
        connection,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
