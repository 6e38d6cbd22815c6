//! SQLite: what is its own, and what it shares with PostgreSQL (`statements`).

mod connect;
#[cfg(feature = "consume")]
mod consume;
mod dialect;
#[cfg(feature = "consume")]
mod operate;
#[cfg(feature = "publish")]
mod publish;
#[cfg_attr(
    feature = "postgres",
    expect(
        clippy::duplicate_mod,
        reason = "PostgreSQL's module has them too, with its dialect"
    )
)]
#[path = "../statements/mod.rs"]
mod statements;
mod transfer;

use std::os::unix::fs::MetadataExt;

use sqlx::{Sqlite, SqlitePool};

#[cfg(feature = "consume")]
use super::Writer;
use super::listen::Listen;
use super::{Backend, Operations};
use crate::database::timeout::ConnectionHealth;
use crate::transfer::Migrations;
pub(super) use connect::is_of_the_disk;

impl Backend for Sqlite {}

impl Operations for Sqlite {
    const ONE_WRITER: bool = true;
    const MIGRATION_LIST: &'static str = "
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
";
    const BYTES: [&'static str; 2] = ["X'", "'"];
    const MIGRATIONS: Migrations = crate::migrations! {
        "sqlite":
        "0001_feed",
        "0002_decisions",
        "0003_expand_archive",
        "0004_expand_quarantine",
        "0005_expand_source",
        "0006_expand_ids",
        "0007_expand_append",
        "0008_expand_numbers",
        "0009_expand_console",
        "0010_expand_pause",
        "0011_expand_undo",
        "0012_expand_taken",
        "0013_expand_leap_second",
        "0014_expand_former_epochs",
        "0015_expand_due",
        "0016_expand_corrected_data",
    };

    async fn migration_tables(pool: &SqlitePool, _: Option<&str>) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT -- database::migration_tables
             name FROM sqlite_master
             WHERE type = 'table' AND name LIKE '\\_%\\_migrations' ESCAPE '\\'",
        )
        .fetch_all(pool)
        .await
    }

    fn file(pool: &SqlitePool) -> Option<(u64, u64)> {
        let file = pool.connect_options().get_filename().metadata().ok()?;
        Some((file.dev(), file.ino()))
    }
}

impl Listen for Sqlite {
    type Listener = ();

    async fn listen(_: &SqlitePool, _: &str, _: &ConnectionHealth) -> sqlx::Result<()> {
        Ok(())
    }

    async fn confirm(_: &SqlitePool, _: &str, (): (), _: &ConnectionHealth) -> sqlx::Result<()> {
        Ok(())
    }

    fn abandon(_: &SqlitePool, (): ()) {}

    async fn notified((): &mut ()) -> sqlx::Result<String> {
        std::future::pending().await
    }

    #[cfg(feature = "consume")]
    async fn notify(_: Writer<'_, Sqlite>, _: &str) -> sqlx::Result<()> {
        Ok(())
    }
}
