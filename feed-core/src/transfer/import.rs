//! Imports into a new database, all or nothing.

use std::path::Path;

use super::file::{Input, Line};
use super::{TABLES, Table, TransferError, WHOLE, answered, answered_within};
use crate::database::Database;
use crate::store::Backend;
use crate::store::transfer::Column;

/// The most rows inserted by one statement, and their bytes.
const ROWS: usize = 500;
const BYTES: usize = 1 << 20;

/// Whether an import is permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// It is committed.
    ForGood,
    /// It is executed and rolled back.
    OnTrial,
}

/// Reads what [`export`](super::export()) has written into a new database, all or nothing; returns
/// the number of rows.
///
/// # Errors
///
/// Returns an error if the database has been used or is of another version, or if the file cannot
/// be read or is incomplete.
pub async fn import<B: Backend>(
    database: &Database<B>,
    tables: &[Table],
    file: &Path,
    import: Import,
) -> Result<u64, TransferError> {
    let mut input = Input::open(file)?;
    let known: Vec<&Table> = TABLES.iter().chain(tables).collect();
    let mut tx = database.begin().await?;
    make_room(database, &mut tx, &known).await?;
    let (mut count, mut rest) = (0, known.iter());
    let mut rows = Rows::none();
    while let Some(line) = input.line()? {
        match line {
            Line::Format(_) | Line::Digest(_) => {}
            Line::Table {
                name,
                columns,
                last_number,
            } => {
                rows.insert(database, &mut tx).await?;
                let Some(table) = rest.next().filter(|table| table.name == name) else {
                    return Err(input.wrong(format!("table {name} is not expected here")));
                };
                let ours = answered(database, B::columns(&mut tx, table.name)).await?;
                if ours.iter().map(|column| &column.name).ne(&columns) {
                    return Err(input.wrong(format!(
                        "table {name} has other columns here: the file is of another version"
                    )));
                }
                if let Some(last) = last_number {
                    let numbered = B::number_after(&mut tx, table.name, last);
                    answered(database, numbered).await?;
                }
                rows = Rows::of(table.name, ours);
            }
            Line::Row(row) => {
                rows.push(row.get());
                count += 1;
                if rows.is_enough() {
                    rows.insert(database, &mut tx).await?;
                }
            }
        }
    }
    rows.insert(database, &mut tx).await?;
    if rest.next().is_some() {
        return Err(TransferError::Cut);
    }
    match import {
        Import::ForGood => answered_within(WHOLE, database, tx.commit()).await?,
        Import::OnTrial => answered_within(WHOLE, database, tx.rollback()).await?,
    }
    Ok(count)
}

/// Removes the rows of a new database; returns an error if there are more.
async fn make_room<B: Backend>(
    database: &Database<B>,
    tx: &mut B::Connection,
    tables: &[&Table],
) -> Result<(), TransferError> {
    // Begin with the tables that reference others.
    for Table { name, seeds } in tables.iter().rev() {
        let emptied = answered_within(WHOLE, database, B::empty(tx, name)).await?;
        if emptied != *seeds {
            return Err(TransferError::Used(name));
        }
    }
    Ok(())
}

/// Rows of one table to insert, as a JSON array.
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

    async fn insert<B: Backend>(
        &mut self,
        database: &Database<B>,
        tx: &mut B::Connection,
    ) -> Result<(), TransferError> {
        if self.count > 0 {
            self.array.push(']');
            let array = std::mem::take(&mut self.array);
            let inserted = B::insert(tx, self.table, &self.columns, array);
            let inserted = answered(database, inserted).await;
            inserted.map_err(|error| match &error {
                sqlx::Error::Database(of) if of.is_unique_violation() => {
                    TransferError::Twice(self.table)
                }
                _ => error.into(),
            })?;
            self.count = 0;
        }
        Ok(())
    }
}
