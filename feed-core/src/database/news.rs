//! Listens for the notifications of other instances, and connects again after a lost connection.

use crate::http::with_causes;
use tokio::task::JoinHandle;
use tracing::warn;

use super::Database;
use crate::store::Backend;

/// The notifications on one channel, as long as the connection lasts.
pub(crate) struct News<B: Backend> {
    channel: &'static str,
    state: State<B>,
}

enum State<B: Backend> {
    /// Not listening.
    Idle,
    /// Connecting, in a task of its own: it may take long, and the caller does other work
    /// meanwhile.
    Connecting(JoinHandle<sqlx::Result<B::Listener>>),
    Listening(B::Listener),
}

impl<B: Backend> News<B> {
    pub(crate) fn on(channel: &'static str) -> Self {
        Self {
            channel,
            state: State::Idle,
        }
    }

    /// Begins to listen, unless it has already.
    pub(crate) fn listen(&mut self, database: &Database<B>) {
        if matches!(self.state, State::Idle) {
            let (database, channel) = (database.clone(), self.channel);
            let listen = async move {
                let listening = B::listen(database.reader(), channel);
                database.statement(listening).await
            };
            self.state = State::Connecting(tokio::spawn(listen));
        }
    }

    /// Waits for a notification, and returns its text if that is known; waits for ever if not
    /// listening. Returns also when listening begins, since earlier notifications are unknown.
    pub(crate) async fn heard(&mut self) -> Option<String> {
        match &mut self.state {
            State::Idle => std::future::pending().await,
            State::Connecting(listener) => {
                let listener = listener.await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
                match listener {
                    Ok(listener) => {
                        self.state = State::Listening(listener);
                        None
                    }
                    Err(error) => {
                        self.state = State::Idle;
                        warn!(
                            error = with_causes(&error),
                            "LISTEN unavailable; falling back to polling"
                        );
                        std::future::pending().await
                    }
                }
            }
            State::Listening(listener) => match B::notified(listener).await {
                Ok(said) => Some(said),
                Err(error) => {
                    self.state = State::Idle;
                    warn!(
                        error = with_causes(&error),
                        "LISTEN connection lost; falling back to polling"
                    );
                    None
                }
            },
        }
    }
}
