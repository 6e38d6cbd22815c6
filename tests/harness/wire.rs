//! A proxy between a service and its PostgreSQL that loses a `COMMIT`, or the answer to it: the
//! client cannot know which. Or it lets one connection fall silent at a statement, or all connections.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, watch};
use url::Url;

/// What happens to a `COMMIT` that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The server never sees it.
    Request,
    /// The server has committed, and the client gets no answer.
    Answer,
}

#[derive(Debug)]
struct State {
    socket: PathBuf,
    lost: Lost,
    /// One of so many commits is lost; 0: none.
    each: AtomicU32,
    commits: AtomicU32,
    losses: AtomicU32,
    /// The next message with this text is held back.
    silenced: Mutex<Option<String>>,
    /// Passes on what is held back.
    resumed: Notify,
    /// How often all connections have fallen silent.
    lost_all: watch::Sender<u32>,
}

/// A listener on a port of its own. Ends with the runtime of its test.
#[derive(Debug)]
pub struct Wire {
    /// The address of the database through this proxy.
    pub url: String,
    state: Arc<State>,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Wire {
    /// In front of the database at `url`, which names the directory of a socket.
    pub async fn before(url: &str, lost: Lost) -> Self {
        let parsed: Url = url.parse().expect("a URL");
        let host = parsed.query_pairs().find(|(name, _)| name == "host");
        let (_, directory) = host.expect("a private server has a socket");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            socket: PathBuf::from(directory.as_ref()).join(".s.PGSQL.5432"),
            lost,
            each: AtomicU32::new(0),
            commits: AtomicU32::new(0),
            losses: AtomicU32::new(0),
            silenced: Mutex::new(None),
            resumed: Notify::new(),
            lost_all: watch::Sender::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // Connections are cut on purpose.
                tokio::spawn(async move { pass(client, &state).await });
            }
        });
        Self {
            url: format!(
                "postgres://postgres@{address}{}?sslmode=disable",
                parsed.path()
            ),
            state,
        }
    }

    /// From now on, one of `each` commits is lost; 0: none.
    pub fn lose(&self, each: u32) {
        self.state.each.store(each, Ordering::Relaxed);
    }

    /// The connections that are there fall silent, and stay open.
    pub fn silence_all(&self) {
        self.state.lost_all.send_modify(|times| *times += 1);
    }

    /// The connection that has fallen silent at a text continues.
    pub fn resume(&self) {
        self.state.resumed.notify_one();
    }

    /// The next connection that sends `text` falls silent, and stays open.
    pub fn silence(&self, text: &str) {
        *self.state.silenced() = Some(text.to_owned());
    }

    /// True if that has happened.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.state.silenced().is_none()
    }

    /// How many were lost.
    #[must_use]
    pub fn losses(&self) -> u32 {
        self.state.losses.load(Ordering::Relaxed)
    }
}

impl State {
    fn silenced(&self) -> MutexGuard<'_, Option<String>> {
        self.silenced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silences(&self, message: &[u8]) -> bool {
        let mut silenced = self.silenced();
        let said = silenced.as_ref().is_some_and(|text| {
            let text = text.as_bytes();
            message.windows(text.len()).any(|part| part == text)
        });
        if said {
            *silenced = None;
        }
        said
    }

    /// `empty`: the open transaction is the one that a batch has begun with its commit.
    fn loses(&self, message: &[u8], empty: &mut bool) -> bool {
        let chains = message.ends_with(b" COMMIT AND CHAIN\0");
        let commits = chains || message == b"Q\0\0\0\x0bCOMMIT\0";
        if !commits || std::mem::replace(empty, chains) {
            return false;
        }
        let each = self.each.load(Ordering::Relaxed);
        let loses = each > 0 && self.commits.fetch_add(1, Ordering::Relaxed) % each == each - 1;
        self.losses.fetch_add(loses.into(), Ordering::Relaxed);
        loses
    }
}

/// Passes messages on until a `COMMIT` is lost; then both connections are.
async fn pass(client: TcpStream, state: &State) -> std::io::Result<()> {
    let server = UnixStream::connect(&state.socket).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let first = message(&mut from_client, 0).await?;
    to_server.write_all(&first).await?;
    let forward = async {
        let mut empty = false;
        loop {
            let message = message(&mut from_client, 1).await?;
            if state.silences(&message) {
                state.resumed.notified().await;
            }
            let loses = state.loses(&message, &mut empty);
            if loses && state.lost == Lost::Request {
                return Ok::<_, std::io::Error>(());
            }
            to_server.write_all(&message).await?;
            if loses {
                return Ok(());
            }
        }
    };
    let mut silent = state.lost_all.subscribe();
    let lost = tokio::select! {
        done = forward => done,
        _ = silent.changed() => std::future::pending().await,
        done = copy(&mut from_server, &mut to_client) => return done,
    };
    lost?;
    if state.lost == Lost::Answer {
        // The first bytes of the answer arrive when the commit is done.
        let _ = from_server.read(&mut [0; 64]).await?;
    }
    Ok(())
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    tokio::io::copy(from, to).await.map(drop)
}

/// Reads a message: a type of so many bytes, its length, and the rest.
async fn message(from: &mut (impl AsyncRead + Unpin), kind: usize) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; kind + 4];
    from.read_exact(&mut message).await?;
    let length: [u8; 4] = message[kind..].try_into().expect("four bytes");
    let length = u32::from_be_bytes(length) as usize;
    message.resize(kind + length, 0);
    from.read_exact(&mut message[kind + 4..]).await?;
    Ok(message)
}
