//! A proxy between a reader and an HTTP server that counts requests, and holds a request or its
//! answer back until a test releases it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::until;

/// What is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Requests, before the server sees them.
    Request,
    /// Answers, when the server has sent the first bytes of them.
    Answer,
}

/// A request, and what was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When it was asked.
    pub at: Instant,
    /// What it was for.
    pub target: String,
    /// The status code; `None` while there is no answer, and where the server is down.
    pub status: Option<u16>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    exchanges: Mutex<Vec<Exchange>>,
    /// Parts of the targets that are held back.
    rule: watch::Sender<Option<(Held, &'static str)>>,
    /// How often one was held back.
    held: watch::Sender<usize>,
    /// True for a server whose documents only link to data.
    links_only: AtomicBool,
}

/// A listener on a port of its own. Ends with the runtime of its test.
#[derive(Debug, Clone)]
pub struct Tap {
    address: String,
    state: Arc<State>,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Tap {
    /// In front of the server at this address, `http://127.0.0.1:8081/`.
    pub async fn before(origin: &str) -> Self {
        let upstream = origin.trim_start_matches("http://").trim_end_matches('/');
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            exchanges: Mutex::default(),
            rule: watch::Sender::new(None),
            held: watch::Sender::new(0),
            links_only: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // Clients are killed on purpose.
                tokio::spawn(async move { pass(socket, &state).await });
            }
        });
        Self { address, state }
    }

    /// The address of `path` through this proxy.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The targets of all requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let exchanges = lock(&self.state.exchanges);
        exchanges.iter().map(|each| each.target.clone()).collect()
    }

    /// All requests so far, with what was answered.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.state.exchanges).clone()
    }

    /// From now on, holds back requests for targets that contain `part`.
    pub fn hold(&self, held: Held, part: &'static str) {
        self.state.rule.send_replace(Some((held, part)));
    }

    /// From now on, documents only link to data, which is then requested at an address of its own.
    pub fn link_to_data(&self) {
        self.state.links_only.store(true, Ordering::Relaxed);
    }

    /// Waits until something is held back.
    pub async fn waiting(&self) {
        until("something is held back", async || {
            (*self.state.held.borrow() > 0).then_some(())
        })
        .await;
    }

    /// Releases everything.
    pub fn open(&self) {
        self.state.rule.send_replace(None);
    }
}

impl State {
    /// Records a request; returns its target and its number.
    fn record(&self, head: &str) -> (String, usize) {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut exchanges = lock(&self.exchanges);
        exchanges.push(Exchange {
            at: Instant::now(),
            target: target.clone(),
            status: None,
        });
        (target, exchanges.len() - 1)
    }

    async fn hold(&self, held: Held, target: &str) {
        let mut rule = self.rule.subscribe();
        let applies = |rule: &Option<(Held, &str)>| {
            rule.is_some_and(|(what, part)| what == held && target.contains(part))
        };
        if applies(&rule.borrow()) {
            self.held.send_modify(|held| *held += 1);
        }
        let _ = rule.wait_for(|rule| !applies(rule)).await;
    }
}

/// Passes the requests of one connection on, one after the other: our clients send the second one
/// after the first answer, and no bodies.
async fn pass(mut client: TcpStream, state: &State) -> std::io::Result<()> {
    let (mut asked, mut answered) = (Vec::new(), vec![0; 64 * 1024]);
    let mut server = match TcpStream::connect(&state.upstream).await {
        Ok(server) => server,
        Err(down) => {
            client.read_buf(&mut asked).await?;
            state.record(&String::from_utf8_lossy(&asked));
            return Err(down);
        }
    };
    let (mut target, mut unanswered) = (String::new(), None);
    loop {
        tokio::select! {
            read = client.read_buf(&mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                if !asked.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let head = String::from_utf8_lossy(&asked).into_owned();
                let number;
                (target, number) = state.record(&head);
                unanswered = Some(number);
                state.hold(Held::Request, &target).await;
                match state.links_only.load(Ordering::Relaxed) {
                    true => {
                        let plain = head.replace("event-data", "unknown");
                        server.write_all(plain.as_bytes()).await?;
                    }
                    false => server.write_all(&asked).await?,
                }
                asked.clear();
            }
            read = server.read(&mut answered) => {
                let read = read?;
                if read == 0 {
                    return client.shutdown().await;
                }
                if let Some(number) = unanswered.take() {
                    lock(&state.exchanges)[number].status = status(&answered[..read]);
                }
                state.hold(Held::Answer, &target).await;
                client.write_all(&answered[..read]).await?;
            }
        }
    }
}

/// The code in the first line of an answer.
fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.get(..12)?).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
