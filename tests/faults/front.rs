//! One address before the instances of a service, like a proxy: each connection goes to one of
//! those that run. These may come and go, and the network between may fall silent: then nothing
//! arrives, and neither side is notified.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// A listener on a port of its own. Ends with the runtime of its test.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    /// Its address, which ends with a slash.
    pub(crate) url: String,
    targets: Arc<Mutex<Vec<String>>>,
    /// Incremented when all current connections fall silent.
    lost: watch::Sender<u64>,
    /// True if it is a slow network.
    slow: bool,
}

/// Bytes a second of a slow network: 64 kbit.
const RATE: u64 = 8_000;

/// The least and the most time for bytes that arrive together, in milliseconds.
const DELAY: std::ops::Range<u64> = 100..300;

impl Front {
    pub(crate) async fn new() -> Self {
        Self::at("127.0.0.1:0", false).await
    }

    /// As slow as a bad line.
    pub(crate) async fn slow() -> Self {
        Self::at("127.0.0.1:0", true).await
    }

    pub(crate) async fn at(address: &str, slow: bool) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let front = Self {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            targets: Arc::default(),
            lost: watch::Sender::new(0),
            slow,
        };
        let shared = front.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut targets = shared.targets().clone();
                fastrand::shuffle(&mut targets);
                let lost = shared.lost.subscribe();
                tokio::spawn(pass(client, targets, shared.slow, lost));
            }
        });
        front
    }

    /// From now on these accept the connections, by their addresses: `http://127.0.0.1:8081/`, or
    /// the path of a socket.
    pub(crate) fn before(&self, addresses: impl IntoIterator<Item = String>) {
        let authority = |url: String| {
            let url = url.trim_start_matches("http://");
            url.trim_end_matches('/').to_owned()
        };
        *self.targets() = addresses.into_iter().map(authority).collect();
    }

    /// Current connections stay open, and nothing passes through them any more, as after a machine
    /// or a firewall between has lost its state. New ones work.
    pub(crate) fn lose(&self) {
        self.lost.send_modify(|times| *times += 1);
    }

    fn targets(&self) -> MutexGuard<'_, Vec<String>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To the first that listens; if none does, the client finds its connection closed.
async fn pass(mut client: TcpStream, targets: Vec<String>, slow: bool, lost: watch::Receiver<u64>) {
    for target in targets {
        if target.starts_with('/') {
            if let Ok(mut server) = UnixStream::connect(&target).await {
                return join(&mut client, &mut server, lost).await;
            }
        } else if let Ok(mut server) = TcpStream::connect(&target).await {
            if slow {
                let (from_client, to_client) = client.split();
                let (from_server, to_server) = server.split();
                tokio::join!(crawl(from_client, to_server), crawl(from_server, to_client));
                return;
            }
            return join(&mut client, &mut server, lost).await;
        }
    }
}

async fn join(
    client: &mut TcpStream,
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut lost: watch::Receiver<u64>,
) {
    tokio::select! {
        // Processes are killed on purpose.
        _ = copy_bidirectional(client, server) => {}
        _ = lost.changed() => std::future::pending().await,
    }
}

/// One direction of a slow network.
async fn crawl(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut bytes = [0; 1_024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let mut pause = read as u64 * 1_000 / RATE;
        if read < bytes.len() {
            pause += fastrand::u64(DELAY);
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if to.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
