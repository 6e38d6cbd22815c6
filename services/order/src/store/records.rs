//! Customers and items. They change seldom and have no events of their own.

use feed_chassis::list::Search;
use feed_core::dialect::Answer;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Pool};

use super::to_cents;
use crate::order::{Customer, Item};
use crate::rules::Record;

/// A database that can hold customers and items.
pub trait Records: feed_core::Backend {
    /// The newest `limit` records, before `before` if there is one, that have the number or the text of `search`, if there
    /// is one; newest first.
    fn records<R: Stored>(
        pool: &Pool<Self>,
        search: Option<&Search>,
        before: Option<i64>,
        limit: i64,
    ) -> impl Answer<Vec<R>>;

    /// How many records match.
    fn count_records<R: Stored>(pool: &Pool<Self>, search: Option<&Search>) -> impl Answer<i64>;

    fn record<R: Stored>(pool: &Pool<Self>, id: i64) -> impl Answer<Option<R>>;

    fn insert_record<R: Stored>(pool: &Pool<Self>, new: R::New) -> impl Answer<R>;

    /// Changes a record; false if there is none, or none like `only`. Orders stay as they are.
    fn update_record<R: Stored>(
        pool: &Pool<Self>,
        record: &R,
        only: Option<&R>,
    ) -> impl Answer<bool>;
}

/// A record with the columns of its table.
pub trait Stored: Record + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> {
    /// All columns but the number.
    const COLUMNS: &'static str;
    /// The text in which a search looks.
    const SEARCHED: &'static str;

    /// The values of the columns.
    ///
    /// # Errors
    ///
    /// A column cannot hold the value.
    fn values(&self) -> sqlx::Result<Vec<Value<'_>>>;
}

/// The value of a column.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    Cents(i64),
}

impl Stored for Customer {
    const COLUMNS: &'static str = "name, firstname, email";
    const SEARCHED: &'static str = "firstname || ' ' || name || ' ' || email";

    fn values(&self) -> sqlx::Result<Vec<Value<'_>>> {
        Ok([&self.name, &self.firstname, &self.email]
            .map(|text| Value::Text(text))
            .into())
    }
}

impl Stored for Item {
    const COLUMNS: &'static str = "name, price_cents";
    const SEARCHED: &'static str = "name";

    fn values(&self) -> sqlx::Result<Vec<Value<'_>>> {
        let cents = to_cents(self.price)?;
        Ok(vec![Value::Text(&self.name), Value::Cents(cents)])
    }
}
