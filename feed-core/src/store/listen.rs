//! Notifications between instances: those of PostgreSQL. SQLite has none, and the instances poll. A
//! notification is only a hint: a lost one costs time and nothing else.

use sqlx::Pool;

#[cfg(feature = "consume")]
use super::Writer;
use super::answer::Answer;
use crate::database::timeout::ConnectionHealth;

/// A database with or without notifications.
pub(crate) trait Listen: sqlx::Database {
    /// A connection that listens.
    type Listener: Send + 'static;

    /// Begins to listen.
    fn listen(
        pool: &Pool<Self>,
        channel: &str,
        health: &ConnectionHealth,
    ) -> impl Answer<Self::Listener>;

    /// Asks the server of a listener for an answer: a connection that only waits may be silent without a sign. Abandons
    /// the listener if none comes.
    fn confirm(
        pool: &Pool<Self>,
        channel: &str,
        listener: Self::Listener,
        health: &ConnectionHealth,
    ) -> impl Answer<Self::Listener>;

    /// Waits for a notification, and returns its text. After an error, drop the listener.
    fn notified(listener: &mut Self::Listener) -> impl Answer<String>;

    /// Drops a listener whose connection may be silent.
    fn abandon(pool: &Pool<Self>, listener: Self::Listener);

    /// Notifies all listeners.
    #[cfg(feature = "consume")]
    fn notify(writer: Writer<'_, Self>, channel: &str) -> impl Answer<()>;
}
