//! How instances hear of each other's work: PostgreSQL's notifications. On SQLite nobody says
//! anything, and whoever waits looks again after a while. A notification is only a hint, so that
//! one that is lost costs time and nothing else.

use std::future::Future;

use sqlx::postgres::PgListener;
use sqlx::{PgPool, Pool, Postgres, Sqlite, SqlitePool};
use tracing::warn;

use super::Backend;

/// A database that passes messages on, or not.
pub(crate) trait Listen: sqlx::Database {
    /// Who listens.
    type Listener: Send;

    /// Starts to listen.
    fn listen(
        pool: &Pool<Self>,
        channel: &str,
    ) -> impl Future<Output = sqlx::Result<Self::Listener>> + Send;

    /// Waits until somebody has said something, and returns it.
    fn notified(
        listener: &mut Self::Listener,
    ) -> impl Future<Output = sqlx::Result<Option<String>>> + Send;

    /// Says something to whoever listens.
    fn notify(pool: &Pool<Self>, channel: &str) -> impl Future<Output = sqlx::Result<()>> + Send;
}

impl Listen for Postgres {
    type Listener = PgListener;

    async fn listen(pool: &PgPool, channel: &str) -> sqlx::Result<PgListener> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }

    async fn notified(listener: &mut PgListener) -> sqlx::Result<Option<String>> {
        // `None`: the connection was lost and is made again; what was said meanwhile is unknown,
        // so it counts as news.
        let said = listener.try_recv().await?;
        Ok(said.map(|said| said.payload().to_owned()))
    }

    async fn notify(pool: &PgPool, channel: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- news::notify
             SELECT pg_notify($1, '')",
        )
        .bind(channel)
        .execute(pool)
        .await?;
        Ok(())
    }
}

impl Listen for Sqlite {
    type Listener = ();

    async fn listen(_: &SqlitePool, _: &str) -> sqlx::Result<()> {
        Ok(())
    }

    async fn notified((): &mut ()) -> sqlx::Result<Option<String>> {
        std::future::pending().await
    }

    async fn notify(_: &SqlitePool, _: &str) -> sqlx::Result<()> {
        Ok(())
    }
}

/// What is said on one channel, as long as the connection holds.
pub(crate) struct News<B: Backend> {
    channel: &'static str,
    listener: Option<B::Listener>,
}

impl<B: Backend> News<B> {
    pub(crate) fn on(channel: &'static str) -> Self {
        Self {
            channel,
            listener: None,
        }
    }

    /// Listens, unless it does already; true if it has begun to: what was said before is unknown.
    pub(crate) async fn listen(&mut self, pool: &Pool<B>) -> bool {
        if self.listener.is_some() {
            return false;
        }
        match B::listen(pool, self.channel).await {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "no notifications, only looks"
            ),
        }
        self.listener.is_some()
    }

    /// Waits for news, and returns what was said, if that is known; for ever if nobody listens.
    pub(crate) async fn heard(&mut self) -> Option<String> {
        match &mut self.listener {
            None => std::future::pending().await,
            Some(listener) => match B::notified(listener).await {
                Ok(said) => said,
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "no notifications any more"
                    );
                    self.listener = None;
                    None
                }
            },
        }
    }
}
