//! What moving a database asks of it: its rows as JSON, out of one and into another. The same names on
//! both databases make that possible; how each writes an instant is theirs.

use super::answer::Answer;
use futures_util::stream::BoxStream;

/// A column of a table, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The SQL of its value as JSON has it: a number or a text.
    pub(super) value: String,
}

/// Operations on tables by their names, which are constants of programs; each database does these in its own
/// way.
pub(crate) trait NativeTransfer: sqlx::Database {
    /// Begins a transaction in which nothing changes but what it does itself.
    const SNAPSHOT: &'static str;

    /// The columns of a table that are written to it, by name.
    fn columns(connection: &mut Self::Connection, table: &str) -> impl Answer<Vec<Column>>;

    /// Inserts the rows of a JSON array.
    fn insert(
        connection: &mut Self::Connection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> impl Answer<()>;

    /// The last number that a table has given to a row, if it numbers them: a number is not given twice,
    /// although its row may be gone.
    fn last_number(connection: &mut Self::Connection, table: &str) -> impl Answer<Option<i64>>;

    /// Has a table go on numbering after `last`.
    fn number_after(connection: &mut Self::Connection, table: &str, last: i64) -> impl Answer<()>;
}

/// Those whose statements are the same but for the name of a function.
pub(crate) trait Transfer: sqlx::Database {
    /// True if events have been committed that have no number yet.
    fn has_unnumbered(connection: &mut Self::Connection) -> impl Answer<bool>;

    /// Each row as one JSON object.
    fn rows<'c>(
        connection: &'c mut Self::Connection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>>;

    /// Removes all rows; returns how many there were.
    fn empty(connection: &mut Self::Connection, table: &str) -> impl Answer<u64>;
}

/// `a, b, c`
pub(super) fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}
