//! Listens for the notifications of other instances, and connects again after a lost connection.

use std::time::Duration;

use crate::http::with_causes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

use super::Database;
use crate::store::Backend;

/// The pause after a refused LISTEN: a pooler refuses each one at once.
const AGAIN: Duration = Duration::from_secs(5);

/// How long the server of a listener may say nothing before it is asked. A firewall that forgets idle connections forgets
/// this one first.
const CONFIRMED: Duration = Duration::from_secs(10);

/// The notifications on one channel, as long as the connection lasts.
pub(crate) struct Notifications<B: Backend> {
    channel: &'static str,
    state: State<B>,
    /// Held while a connection listens.
    permit: Option<OwnedSemaphorePermit>,
    /// When to try next.
    next: Instant,
    /// True if it was logged that too many others listen.
    crowded: bool,
}

enum State<B: Backend> {
    /// Not listening.
    Idle,
    /// Connecting since then, or asking the server for an answer, in a task of its own: it may take long, and the caller
    /// does other work meanwhile.
    Connecting(JoinHandle<sqlx::Result<B::Listener>>, Instant),
    /// Listening by a connection whose server answered what was asked then.
    Listening(B::Listener, Instant),
}

impl<B: Backend> Notifications<B> {
    pub(crate) fn on(channel: &'static str) -> Self {
        Self {
            channel,
            state: State::Idle,
            permit: None,
            next: Instant::now(),
            crowded: false,
        }
    }

    /// Begins to listen, unless it has already, or others use so many connections for it that too few would be left.
    /// Replaces a connection that is suspect, and asks one that has waited for long whether it is: no more may come of it,
    /// and nothing says so.
    pub(crate) fn listen(&mut self, database: &Database<B>) {
        self.end_suspect(database);
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Listening(listener, since) if since.elapsed() >= CONFIRMED => {
                let (database, channel) = (database.clone(), self.channel);
                let of = database.clone();
                // A server that waits for sessions to end before it shuts down answers those that are there.
                tokio::spawn(async move { of.refusal().await });
                self.connect(async move {
                    B::confirm(database.reader(), channel, listener, database.health()).await
                });
            }
            state => self.state = state,
        }
        if !matches!(self.state, State::Idle) || Instant::now() < self.next {
            return;
        }
        let Ok(permit) = database.listeners().try_acquire_owned() else {
            if !std::mem::replace(&mut self.crowded, true) {
                warn!(
                    "half of the connections for reading listen already; polling in place of LISTEN. Let the database \
                     have more connections"
                );
            }
            return;
        };
        self.permit = Some(permit);
        let (database, channel) = (database.clone(), self.channel);
        self.connect(async move { B::listen(database.reader(), channel, database.health()).await });
    }

    /// Ends a connection that is suspect: a server that shuts down may wait for that.
    pub(crate) fn end_suspect(&mut self, database: &Database<B>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Listening(silent, since) if database.health().is_suspect(since.elapsed()) => {
                self.permit = None;
                B::abandon(database.reader(), silent);
            }
            state => self.state = state,
        }
    }

    fn connect(
        &mut self,
        connecting: impl Future<Output = sqlx::Result<B::Listener>> + Send + 'static,
    ) {
        self.state = State::Connecting(tokio::spawn(connecting), Instant::now());
    }

    fn stop(&mut self) {
        self.permit = None;
        self.state = State::Idle;
    }

    /// Waits for a notification, and returns its text if that is known; waits for ever if not
    /// listening. Returns also when listening begins, since earlier notifications are unknown.
    pub(crate) async fn next(&mut self) -> Option<String> {
        match &mut self.state {
            State::Idle => std::future::pending().await,
            State::Connecting(listener, since) => {
                let since = *since;
                let listener = listener.await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
                match listener {
                    Ok(listener) => {
                        self.state = State::Listening(listener, since);
                        None
                    }
                    Err(error) => {
                        self.stop();
                        self.next = Instant::now() + AGAIN;
                        warn!(
                            error = with_causes(&error),
                            "LISTEN unavailable; falling back to polling"
                        );
                        std::future::pending().await
                    }
                }
            }
            State::Listening(listener, _) => match B::notified(listener).await {
                Ok(said) => Some(said),
                Err(error) => {
                    self.stop();
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
