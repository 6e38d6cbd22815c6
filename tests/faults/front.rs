//! One address before the instances of a service, as a proxy is: each connection goes to one of
//! those that run. What it stands before may come and go, and the network between may fall silent:
//! then nothing arrives, and nobody is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// A listener on a port of its own. Ends with the runtime of its test.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    /// Its address, which ends with a slash.
    pub(crate) url: String,
    targets: Arc<Mutex<Vec<String>>>,
    /// Goes up when all connections there are fall silent.
    lost: watch::Sender<u64>,
}

impl Front {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            targets: Arc::default(),
            lost: watch::Sender::new(0),
        };
        let shared = front.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut targets = shared.targets().clone();
                fastrand::shuffle(&mut targets);
                tokio::spawn(pass(client, targets, shared.lost.subscribe()));
            }
        });
        front
    }

    /// From now on these take the connections, by their addresses: `http://127.0.0.1:8081/`, or the
    /// path of a socket.
    pub(crate) fn before(&self, addresses: impl IntoIterator<Item = String>) {
        let authority = |url: String| {
            let url = url.trim_start_matches("http://");
            url.trim_end_matches('/').to_owned()
        };
        *self.targets() = addresses.into_iter().map(authority).collect();
    }

    /// The connections that there are stay open, and nothing passes through them ever again: so it is
    /// when a machine or a firewall between has lost its memory. New ones are as ever.
    pub(crate) fn lose(&self) {
        self.lost.send_modify(|times| *times += 1);
    }

    fn targets(&self) -> MutexGuard<'_, Vec<String>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To the first that listens; if nobody does, the client finds its connection closed.
async fn pass(mut client: TcpStream, targets: Vec<String>, lost: watch::Receiver<u64>) {
    for target in targets {
        if target.starts_with('/') {
            if let Ok(mut server) = UnixStream::connect(&target).await {
                return join(&mut client, &mut server, lost).await;
            }
        } else if let Ok(mut server) = TcpStream::connect(&target).await {
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
