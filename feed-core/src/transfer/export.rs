//! Exports a database as it is at one moment.

use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{Connection, SqlSafeStr};

use super::file::{FORMAT, Line, Output};
use super::{TABLES, Table, TransferError, answered};
#[cfg(feature = "publish")]
use super::{WHOLE, answered_within};
use crate::database::Database;
use crate::store::Backend;

/// How often to check whether all events have sequences, and the pause between checks.
const CHECKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Writes all rows of feed-core's tables and of `tables` to `file`; returns their number. A table
/// must follow the tables that it references. If `file` exists, it must be an export; it is
/// replaced once everything is written.
///
/// # Errors
///
/// Returns an error if the database failed, or if the file cannot be written.
pub async fn export<B: Backend>(
    database: &Database<B>,
    tables: &[Table],
    file: &Path,
) -> Result<u64, TransferError> {
    let mut output = Output::create(file)?;
    let mut connection = database.writing().acquire().await?;
    let mut checks = 0;
    let mut tx = loop {
        // Number committed events first: on the other database their numbers could differ.
        number_committed(database).await?;
        // Half-way, it would leave its transaction open; a timeout closes the connection.
        let begin = connection.begin_with(B::SNAPSHOT.into_sql_str());
        let mut tx = answered(database, begin).await?;
        if !answered(database, B::has_unnumbered(&mut tx)).await? {
            break tx;
        }
        answered(database, tx.rollback()).await?;
        checks += 1;
        if checks == CHECKS {
            return Err(TransferError::Busy);
        }
        tokio::time::sleep(PAUSE).await;
    };
    let mut count = 0;
    output.line(&Line::Format(FORMAT.to_owned()))?;
    for table in TABLES.iter().chain(tables) {
        let columns = answered(database, B::columns(&mut tx, table.name)).await?;
        output.line(&Line::Table {
            name: table.name.to_owned(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            last_number: answered(database, B::last_number(&mut tx, table.name)).await?,
        })?;
        let (mut rows, mut read) = (B::rows(&mut tx, table.name, &columns), 0);
        let unreadable = |read, error| TransferError::Row(table.name, read + 1, error);
        loop {
            let row = answered(database, rows.try_next()).await;
            let row = row.map_err(|error| match error {
                // SQLite refuses what is no JSON, such as a BLOB.
                error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                    unreadable(read, error)
                }
                error @ sqlx::Error::Database(_) if !has_ended(&error) => unreadable(read, error),
                error => error.into(),
            })?;
            let Some(row) = row else { break };
            let row = RawValue::from_string(row);
            let row = row.map_err(|error| unreadable(read, sqlx::Error::Decode(error.into())))?;
            output.line(&Line::Row(row))?;
            read += 1;
        }
        count += read;
    }
    output.close()?;
    answered(database, tx.rollback()).await?;
    Ok(count)
}

/// True if PostgreSQL has ended the session, and says so in place of a row.
fn has_ended(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("57P") || code == "25P03")
}

/// Numbers committed events.
#[cfg(feature = "publish")]
async fn number_committed<B: Backend>(database: &Database<B>) -> sqlx::Result<()> {
    let read = answered(database, B::read_head(database.reader())).await;
    if read.is_ok_and(|read| read.unnumbered) {
        let all = B::number(database.numbering(), i64::MAX);
        answered_within(WHOLE, database, all).await?;
    }
    Ok(())
}

/// Without the feature `publish` there are none.
#[cfg(not(feature = "publish"))]
async fn number_committed<B: Backend>(_: &Database<B>) -> sqlx::Result<()> {
    Ok(())
}
