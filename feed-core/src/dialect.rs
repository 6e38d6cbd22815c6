//! Lets a service write each SQL statement once for both databases.
//!
//! The statements are in a file of their own, say `store/statements.rs`. Each database's module compiles that file
//! and chooses the dialect for it. So the statements are not generic: to them, `Db` is one database.
//!
//! ```ignore
//! // store/postgres.rs
//! use feed_core::dialect::postgres::{Db, NOW, is_in, list};
//!
//! #[path = "statements.rs"]
//! mod statements;
//! ```
//!
//! ```ignore
//! // store/statements.rs
//! use super::{Db, NOW, is_in, list};
//!
//! impl Store for Db {
//!     async fn ship(tx: &mut Transaction<'_, Db>, ids: &[i64]) -> sqlx::Result<()> {
//!         sqlx::query(sql!(
//!             "UPDATE parcel SET shipped_at = {NOW} WHERE id {in_list}",
//!             in_list = is_in("$1")
//!         ))
//!         .bind(list(ids))
//!         .execute(&mut **tx)
//!         .await?;
//!         Ok(())
//!     }
//! }
//! ```
//!
//! A statement on many rows gets their values as [`Column`]s, and reads them from the table that `rows` names:
//!
//! ```ignore
//! let parcels = [
//!     Column::integers(parcels, |parcel| parcel.id),
//!     Column::texts(parcels, |parcel| parcel.city.as_str()),
//! ];
//! let insert = sql!(
//!     "INSERT INTO parcel (id, city) SELECT * FROM {rows}",
//!     rows = rows("parcels", "id bigint, city text")
//! );
//! sqlx::query_with(insert, arguments(&parcels)?).execute(&mut **tx).await?;
//! ```
//!
//! A statement that differs in more than this is written in each database's module.

use chrono::{DateTime, Utc};

pub use crate::store::answer::Answer;

/// A column of the rows that a statement gets as its parameters.
#[derive(Debug, Clone)]
pub enum Column<'a> {
    /// Integers; none is NULL.
    Integers(Vec<i64>),
    /// Texts.
    Texts(Vec<Option<&'a str>>),
    /// Instants.
    Instants(Vec<Option<DateTime<Utc>>>),
}

impl<'a> Column<'a> {
    /// The column with an integer of each row.
    pub fn integers<R>(rows: &'a [R], value: impl Fn(&'a R) -> i64) -> Self {
        Self::Integers(rows.iter().map(value).collect())
    }

    /// The column with a text of each row; `None` is NULL.
    pub fn texts<R, T: Into<Option<&'a str>>>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Self {
        Self::Texts(rows.iter().map(|row| value(row).into()).collect())
    }

    /// The column with an instant of each row; `None` is NULL.
    pub fn instants<R, T: Into<Option<DateTime<Utc>>>>(
        rows: &'a [R],
        value: impl Fn(&'a R) -> T,
    ) -> Self {
        Self::Instants(rows.iter().map(|row| value(row).into()).collect())
    }
}

/// The names and types in `id bigint, city text`.
fn names_and_types(columns: &str) -> impl Iterator<Item = (&str, &str)> {
    let columns = columns.split(',').map(str::trim);
    columns.map(|column| column.split_once(' ').unwrap_or((column, "text")))
}

/// The dialect of PostgreSQL, which gets each column as an array.
#[cfg(feature = "postgres")]
pub mod postgres {
    use sqlx::Arguments as _;
    use sqlx::postgres::PgArguments;

    use super::Column;

    /// The database.
    pub type Db = sqlx::Postgres;
    /// One of its rows.
    pub type Row = sqlx::postgres::PgRow;

    /// The clock, at this moment, in whole milliseconds.
    pub const NOW: &str = "date_trunc('milliseconds', clock_timestamp())";

    /// The function that takes the largest of its arguments.
    pub const GREATEST: &str = "GREATEST";

    /// The condition that what stands before it is in a [`list`].
    #[must_use]
    pub fn is_in(list: &str) -> String {
        format!("= ANY ({list})")
    }

    /// Several values as one parameter.
    #[must_use]
    pub fn list<T>(values: &[T]) -> &[T] {
        values
    }

    /// The table `name` with the [`arguments`] of the statement. Its columns are given as `id bigint, city text`.
    #[must_use]
    pub fn rows(name: &str, columns: &str) -> String {
        let (names, types): (Vec<&str>, Vec<&str>) = super::names_and_types(columns).unzip();
        let arrays: Vec<String> = (1..)
            .zip(types)
            .map(|(n, of)| format!("${n}::{of}[]"))
            .collect();
        format!(
            "UNNEST({}) AS {name} ({})",
            arrays.join(", "),
            names.join(", ")
        )
    }

    /// Columns of equal length as the arguments of a statement.
    ///
    /// # Errors
    ///
    /// The columns are too large to be sent.
    pub fn arguments(columns: &[Column<'_>]) -> sqlx::Result<PgArguments> {
        let mut arguments = PgArguments::default();
        for column in columns {
            match column {
                Column::Integers(values) => arguments.add(values),
                Column::Texts(values) => arguments.add(values),
                Column::Instants(values) => arguments.add(values),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// The dialect of SQLite, which holds instants as texts, and gets lists and rows as JSON.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::Serialize;
    use serde_json::{Value, json};
    use sqlx::Arguments as _;
    use sqlx::sqlite::SqliteArguments;

    use super::Column;

    /// The database.
    pub type Db = sqlx::Sqlite;
    /// One of its rows.
    pub type Row = sqlx::sqlite::SqliteRow;

    /// The clock in whole milliseconds, the same wherever it stands in a statement.
    pub const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

    /// The function that takes the largest of its arguments.
    pub const GREATEST: &str = "max";

    /// The condition that what stands before it is in a [`list`].
    #[must_use]
    pub fn is_in(list: &str) -> String {
        format!("IN (SELECT value FROM json_each({list}))")
    }

    /// Several values, or rows of values, as one parameter.
    #[must_use]
    pub fn list<T: Serialize>(values: &[T]) -> String {
        json!(values).to_string()
    }

    /// The table `name` with the [`arguments`] of the statement. Its columns are given as `id bigint, city text`; here
    /// their types are those of the values.
    #[must_use]
    pub fn rows(name: &str, columns: &str) -> String {
        let values: Vec<String> = (0..)
            .zip(super::names_and_types(columns))
            .map(|(n, (column, _))| format!("value ->> {n} AS {column}"))
            .collect();
        format!(
            "(SELECT {} FROM json_each($1)) AS {name}",
            values.join(", ")
        )
    }

    /// Columns of equal length as the arguments of a statement.
    ///
    /// # Errors
    ///
    /// The columns are too large to be sent.
    pub fn arguments(columns: &[Column<'_>]) -> sqlx::Result<SqliteArguments> {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for column in columns {
            let values: Vec<Value> = match column {
                Column::Integers(values) => values.iter().map(|value| json!(value)).collect(),
                Column::Texts(values) => values.iter().map(|value| json!(value)).collect(),
                Column::Instants(values) => {
                    let texts = values.iter().map(|value| value.map(instant));
                    texts.map(|text| json!(text)).collect()
                }
            };
            rows.resize_with(values.len(), Vec::new);
            for (row, value) in rows.iter_mut().zip(values) {
                row.push(value);
            }
        }
        let mut arguments = SqliteArguments::default();
        let json = list(&rows);
        arguments.add(json).map_err(sqlx::Error::Encode)?;
        Ok(arguments)
    }

    /// An instant as a parameter, and as it is stored. A leap second is stored as the second after it, as
    /// on PostgreSQL: RFC 3339 has a second 60 at few moments, and many parsers never.
    #[must_use]
    pub fn instant(at: DateTime<Utc>) -> String {
        let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at);
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}
