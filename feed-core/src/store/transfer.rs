//! What moving a database asks of it: its rows as JSON, out of one and into another. The same names on
//! both databases make that possible; how each writes an instant is theirs.

use futures_util::stream::BoxStream;
use sqlx::AssertSqlSafe;

use super::answer::Answer;

/// A column of a table, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(super) kind: Kind,
}

/// How it is written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is: a number or a text.
    Plain,
    /// An instant that is no text becomes one.
    Instant,
    /// What is true is 1.
    Truth,
}

/// Operations on tables by their names, which are constants of programs.
pub(crate) trait Transfer: sqlx::Database {
    /// Begins a transaction in which nothing changes but what it does itself.
    const SNAPSHOT: &'static str;

    /// True if events have been committed that have no number yet.
    fn has_unnumbered(connection: &mut Self::Connection) -> impl Answer<bool>;

    /// The columns of a table that are written to it, by name.
    fn columns(connection: &mut Self::Connection, table: &str) -> impl Answer<Vec<Column>>;

    /// Each row as one JSON object.
    fn rows<'c>(
        connection: &'c mut Self::Connection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>>;

    /// Inserts the rows of a JSON array.
    fn insert(
        connection: &mut Self::Connection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> impl Answer<()>;

    /// Removes all rows; returns how many there were.
    fn empty(connection: &mut Self::Connection, table: &str) -> impl Answer<u64>;

    /// The last number that a table has given to a row, if it numbers them: a number is not given twice,
    /// although its row may be gone.
    fn last_number(connection: &mut Self::Connection, table: &str) -> impl Answer<Option<i64>>;

    /// Has a table go on numbering after `last`.
    fn number_after(connection: &mut Self::Connection, table: &str, last: i64) -> impl Answer<()>;
}

/// `a, b, c`
pub(super) fn names(columns: &[Column], of: impl Fn(&Column) -> String) -> String {
    columns.iter().map(of).collect::<Vec<_>>().join(", ")
}

pub(super) fn delete(table: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "-- transfer::empty
         DELETE FROM {table}"
    ))
}
