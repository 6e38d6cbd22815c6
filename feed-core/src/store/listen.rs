//! How instances hear of each other's work: PostgreSQL's notifications. On SQLite nobody says
//! anything, and whoever waits looks again after a while. A notification is only a hint, so that
//! one that is lost costs time and nothing else.

use sqlx::Pool;
use tokio::task::JoinHandle;
use tracing::warn;

use super::Backend;
use super::answer::Answer;
use crate::database::Database;
use crate::database::timeout::STATEMENT;

/// A database that passes messages on, or not.
pub(crate) trait Listen: sqlx::Database {
    /// Who listens.
    type Listener: Send + 'static;

    /// Starts to listen.
    fn listen(pool: &Pool<Self>, channel: &str) -> impl Answer<Self::Listener>;

    /// Waits until somebody has said something, and returns it.
    fn notified(listener: &mut Self::Listener) -> impl Answer<Option<String>>;

    /// Says something to whoever listens.
    #[cfg(feature = "consume")]
    fn notify(pool: &Pool<Self>, channel: &str) -> impl Answer<()>;
}

/// What is said on one channel, as long as the connection holds.
pub(crate) struct News<B: Backend> {
    channel: &'static str,
    state: State<B>,
}

enum State<B: Backend> {
    /// Nobody listens.
    Deaf,
    /// A connection is on its way. In a task, since it may take its time, and whoever waits for news has
    /// other things to do meanwhile.
    Beginning(JoinHandle<sqlx::Result<B::Listener>>),
    Listening(B::Listener),
}

impl<B: Backend> News<B> {
    pub(crate) fn on(channel: &'static str) -> Self {
        Self {
            channel,
            state: State::Deaf,
        }
    }

    /// Begins to listen, unless it has already.
    pub(crate) fn listen(&mut self, database: &Database<B>) {
        if matches!(self.state, State::Deaf) {
            let (database, channel) = (database.clone(), self.channel);
            let listen = async move {
                let listening = B::listen(database.reader(), channel);
                database.within(STATEMENT, listening).await
            };
            self.state = State::Beginning(tokio::spawn(listen));
        }
    }

    /// Waits for news, and returns what was said, if that is known; for ever if nobody listens. That it
    /// listens now counts as news, since what was said before is unknown.
    pub(crate) async fn heard(&mut self) -> Option<String> {
        match &mut self.state {
            State::Deaf => std::future::pending().await,
            State::Beginning(listener) => {
                let listener = listener.await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
                match listener {
                    Ok(listener) => {
                        self.state = State::Listening(listener);
                        None
                    }
                    Err(error) => {
                        self.state = State::Deaf;
                        warn!(
                            error = &error as &dyn std::error::Error,
                            "no notifications, only looks"
                        );
                        std::future::pending().await
                    }
                }
            }
            State::Listening(listener) => match B::notified(listener).await {
                Ok(said) => said,
                Err(error) => {
                    self.state = State::Deaf;
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "no notifications any more"
                    );
                    None
                }
            },
        }
    }
}
