//! A fresh database for each test.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

use crate::tables;

/// A database of its own for one test. SQLite is removed with it; PostgreSQL with the private
/// cluster of the test run.
#[derive(Debug)]
pub struct FreshDatabase {
    url: String,
    directory: Option<tempfile::TempDir>,
}

impl FreshDatabase {
    /// An empty SQLite file.
    #[must_use]
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("test.db");
        Self {
            url: format!("sqlite:{}", path.display()),
            directory: Some(directory),
        }
    }

    /// An empty database in the PostgreSQL that `TEST_POSTGRES_URL` names.
    pub async fn postgres() -> Self {
        let server = std::env::var("TEST_POSTGRES_URL").expect(
            "TEST_POSTGRES_URL is not set: `tests/run` starts a private PostgreSQL and sets it",
        );
        Self::postgres_at(&server).await
    }

    /// An empty database in another PostgreSQL.
    pub async fn postgres_at(server: &str) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut connection = tables::postgres(server).await;
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .expect("a fresh database");
        connection.close().await.expect("the connection closes");
        let (base, options) = server.split_once('?').unwrap_or((server, ""));
        let (base, _) = base.rsplit_once('/').expect("a database in the URL");
        Self {
            url: format!("{base}/{name}?{options}"),
            directory: None,
        }
    }

    /// The URL for `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs statements that both databases understand, past the service that owns it.
    ///
    /// # Panics
    ///
    /// One of them fails.
    pub async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.directory.is_some() {
            let mut connection = SqliteConnection::connect(&self.url).await;
            let connection = connection.as_mut().expect("the file opens");
            connection.execute(sql).await.expect("the statements run");
        } else {
            let mut connection = tables::postgres(&self.url).await;
            connection.execute(sql).await.expect("the statements run");
        }
    }

    /// The directory of a SQLite file.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(tempfile::TempDir::path)
    }
}
