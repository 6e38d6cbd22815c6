//! Moves all that a service has to another database, of the same kind or the other one: `export` writes
//! it to a file, `import` reads it into a new database. Ids, sequences and with them the bytes of pages
//! stay (I3); so do claims and cursors, so that nothing has a second effect (I5).
//!
//! The file is JSON, a line for each row; its last line says how many there are.

mod command;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{Connection, SqlSafeStr};

use crate::database::Database;
use crate::store::Backend;
use crate::store::transfer::Column;
pub use command::Command;

/// The first line of a file: what it is.
const FORMAT: &str = "feed-core database, 1";

/// Rows that are inserted by one statement, and their bytes.
const ROWS: usize = 500;
const BYTES: usize = 1 << 20;

/// How often to look for a moment in which all events have their numbers.
const LOOKS: u32 = 100;

/// A table of a service.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, on both databases.
    pub name: &'static str,
    /// The rows that a new database has in it.
    pub seeds: u64,
}

impl Table {
    /// A table that is empty in a new database.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, seeds: 0 }
    }

    /// A table that has so many rows from the beginning.
    #[must_use]
    pub const fn with_seeds(name: &'static str, seeds: u64) -> Self {
        Self { name, seeds }
    }
}

/// feed-core's own. `feed_outbox` is empty when a database is moved, and which instances run is not
/// told to others.
const TABLES: &[Table] = &[
    Table::new("feed_head"),
    Table::new("feed_event"),
    Table::new("feed_archive"),
    Table::new("feed_subscription"),
    Table::new("feed_partition"),
    Table::new("feed_claim"),
    Table::new("feed_parked"),
    Table::new("feed_skip"),
    Table::new("feed_decision"),
];

/// How much was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Tables.
    pub tables: usize,
}

/// Why a database was not moved. One that was to be filled is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The file cannot be read or written.
    #[error("cannot use {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A line of the file cannot be read.
    #[error("line {0} of the file cannot be read: {1}")]
    Line(u64, String),
    /// The end is missing.
    #[error("the file is not whole: its last line, which says how many rows there are, is missing")]
    Cut,
    /// The database is in use.
    #[error("there are rows in {0}: import into a new database, which no service has used yet")]
    Used(&'static str),
    /// Events keep coming in.
    #[error("events are being published all the time: stop the service, and export again")]
    Busy,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Format(String),
    /// The rows of a table follow.
    Table {
        name: String,
        columns: Vec<String>,
        last_number: Option<i64>,
    },
    Row(Box<RawValue>),
    /// How many rows there were.
    End(u64),
}

/// Writes all rows of feed-core's tables and of `tables` to `file`, as they are at one moment. A table
/// that refers to another one stands behind it.
///
/// # Errors
///
/// The database failed, or the file cannot be written.
pub async fn export<B: Backend>(
    database: &Database<B>,
    tables: &[Table],
    file: &Path,
) -> Result<Moved, TransferError> {
    let unusable = |error| TransferError::File(file.to_owned(), error);
    let mut connection = database.writer().acquire().await?;
    let mut looks = 0;
    let mut tx = loop {
        if B::look(database.reader())
            .await
            .is_ok_and(|look| look.unnumbered)
        {
            B::number(database.writer(), i64::MAX).await?;
        }
        let mut tx = connection.begin_with(B::SNAPSHOT.into_sql_str()).await?;
        if !B::has_unnumbered(&mut tx).await? {
            break tx;
        }
        looks += 1;
        if looks == LOOKS {
            return Err(TransferError::Busy);
        }
        tx.rollback().await?;
    };
    let mut output = Output(BufWriter::new(File::create(file).map_err(unusable)?));
    let mut moved = Moved::default();
    output
        .line(&Line::Format(FORMAT.to_owned()))
        .map_err(unusable)?;
    for table in TABLES.iter().chain(tables) {
        let columns = B::columns(&mut tx, table.name).await?;
        let head = Line::Table {
            name: table.name.to_owned(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            last_number: B::last_number(&mut tx, table.name).await?,
        };
        output.line(&head).map_err(unusable)?;
        let mut rows = B::rows(&mut tx, table.name, &columns);
        while let Some(row) = rows.try_next().await? {
            let row = RawValue::from_string(row).map_err(|error| unusable(error.into()))?;
            output.line(&Line::Row(row)).map_err(unusable)?;
            moved.rows += 1;
        }
        moved.tables += 1;
    }
    output.line(&Line::End(moved.rows)).map_err(unusable)?;
    output.close().map_err(unusable)?;
    tx.rollback().await?;
    Ok(moved)
}

struct Output(BufWriter<File>);

impl Output {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }

    fn close(self) -> io::Result<()> {
        self.0.into_inner()?.sync_all()
    }
}

/// Reads what [`export`] has written into a new database, all or nothing.
///
/// # Errors
///
/// The database has been used, or is of another version; the file cannot be read, or its end is
/// missing.
pub async fn import<B: Backend>(
    database: &Database<B>,
    tables: &[Table],
    file: &Path,
) -> Result<Moved, TransferError> {
    let unusable = |error| TransferError::File(file.to_owned(), error);
    let input = BufReader::new(File::open(file).map_err(unusable)?);
    let known: Vec<&Table> = TABLES.iter().chain(tables).collect();
    let mut tx = database.begin().await?;
    make_room::<B>(&mut tx, &known).await?;
    let (mut moved, mut rest) = (Moved::default(), known.iter());
    let mut rows = Rows::none();
    for (number, line) in (1..).zip(input.lines()) {
        let wrong = |text: String| TransferError::Line(number, text);
        let line = line.map_err(unusable)?;
        let line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        match (number, line) {
            (1, Line::Format(format)) if format == FORMAT => {}
            (1, _) => return Err(wrong(format!("it is not \"{FORMAT}\""))),
            (_, Line::Format(_)) => return Err(wrong("a file within a file".to_owned())),
            (
                _,
                Line::Table {
                    name,
                    columns,
                    last_number,
                },
            ) => {
                rows.insert::<B>(&mut tx).await?;
                let Some(table) = rest.next().filter(|table| table.name == name) else {
                    return Err(wrong(format!("table {name} is not expected here")));
                };
                let ours = B::columns(&mut tx, table.name).await?;
                if ours.iter().map(|column| &column.name).ne(&columns) {
                    return Err(wrong(format!(
                        "table {name} has other columns here: the file is of another version"
                    )));
                }
                if let Some(last) = last_number {
                    B::number_after(&mut tx, table.name, last).await?;
                }
                rows = Rows::of(table.name, ours);
                moved.tables += 1;
            }
            (_, Line::Row(row)) => {
                rows.push(row.get());
                moved.rows += 1;
                if rows.is_enough() {
                    rows.insert::<B>(&mut tx).await?;
                }
            }
            (_, Line::End(rows_there)) => {
                rows.insert::<B>(&mut tx).await?;
                if rows_there != moved.rows || rest.next().is_some() {
                    return Err(TransferError::Cut);
                }
                tx.commit().await?;
                return Ok(moved);
            }
        }
    }
    Err(TransferError::Cut)
}

/// Removes what a new database has; fails if there is more.
async fn make_room<B: Backend>(
    tx: &mut B::Connection,
    tables: &[&Table],
) -> Result<(), TransferError> {
    // Those that refer to others first.
    for Table { name, seeds } in tables.iter().rev() {
        let emptied = B::empty(tx, name).await?;
        if emptied != *seeds {
            return Err(TransferError::Used(name));
        }
    }
    Ok(())
}

/// Rows of one table on their way, as a JSON array.
struct Rows {
    table: &'static str,
    columns: Vec<Column>,
    array: String,
    count: usize,
}

impl Rows {
    fn none() -> Self {
        Self::of("", Vec::new())
    }

    fn of(table: &'static str, columns: Vec<Column>) -> Self {
        Self {
            table,
            columns,
            array: String::new(),
            count: 0,
        }
    }

    fn push(&mut self, row: &str) {
        self.array.push(if self.count == 0 { '[' } else { ',' });
        self.array.push_str(row);
        self.count += 1;
    }

    fn is_enough(&self) -> bool {
        self.count == ROWS || self.array.len() >= BYTES
    }

    async fn insert<B: Backend>(&mut self, tx: &mut B::Connection) -> sqlx::Result<()> {
        if self.count > 0 {
            self.array.push(']');
            let array = std::mem::take(&mut self.array);
            B::insert(tx, self.table, &self.columns, array).await?;
            self.count = 0;
        }
        Ok(())
    }
}
