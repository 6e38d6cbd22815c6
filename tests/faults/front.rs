//! One address before the instances of a service, as a proxy is: each connection goes to one of
//! those that run. What it stands before may come, go, and be cut off.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};

/// A listener on a port of its own. Ends with the runtime of its test.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    /// Its address, which ends with a slash.
    pub(crate) url: String,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Front {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            targets: Arc::default(),
        };
        let targets = Arc::clone(&front.targets);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut targets = targets
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                fastrand::shuffle(&mut targets);
                tokio::spawn(pass(client, targets));
            }
        });
        front
    }

    /// From now on these take the connections, by their addresses: `http://127.0.0.1:8081/`.
    pub(crate) fn before(&self, addresses: impl IntoIterator<Item = String>) {
        let authority = |url: String| {
            let url = url.trim_start_matches("http://");
            url.trim_end_matches('/').to_owned()
        };
        let targets = addresses.into_iter().map(authority).collect();
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }
}

/// To the first that listens; if nobody does, the client finds its connection closed.
async fn pass(mut client: TcpStream, targets: Vec<String>) {
    for target in targets {
        if let Ok(mut server) = TcpStream::connect(&target).await {
            // Processes are killed on purpose.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
