//! The interface to a database that is moved: reads rows as JSON, and inserts them. Equal names on
//! both databases make that possible; each writes instants in its own form.

use super::answer::Answer;
use futures_util::stream::BoxStream;

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The SQL of its value for JSON: a number or a text.
    pub(super) value: String,
}

/// Operations on tables by their names, which are constants of programs; each database implements
/// these in its own way.
pub(crate) trait NativeTransfer: sqlx::Database {
    /// Begins a transaction that sees only its own changes.
    const SNAPSHOT: &'static str;

    /// Returns the columns of a table that can be written, by name.
    fn columns(connection: &mut Self::Connection, table: &str) -> impl Answer<Vec<Column>>;

    /// Inserts the rows of a JSON array.
    fn insert(
        connection: &mut Self::Connection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> impl Answer<()>;

    /// Returns the last number that a table has assigned to a row, if it numbers them: a number is
    /// not assigned twice, even if its row is gone.
    fn last_number(connection: &mut Self::Connection, table: &str) -> impl Answer<Option<i64>>;

    /// Lets a table continue numbering after `last`.
    fn number_after(connection: &mut Self::Connection, table: &str, last: i64) -> impl Answer<()>;
}

/// The operations whose statements differ at most by the name of a function.
pub(crate) trait Transfer: sqlx::Database {
    /// Returns true if committed events have no sequence yet.
    fn has_unnumbered(connection: &mut Self::Connection) -> impl Answer<bool>;

    /// Returns each row as one JSON object.
    fn rows<'c>(
        connection: &'c mut Self::Connection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>>;

    /// Removes all rows; returns their number.
    fn empty(connection: &mut Self::Connection, table: &str) -> impl Answer<u64>;
}

/// `a, b, c`
pub(super) fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}
