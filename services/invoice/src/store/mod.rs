//! What the service asks of its database. All its SQL is below this folder: `statements.rs` is compiled once for
//! each database, whose own module has the rest. The same tests run on both.

mod postgres;
mod sqlite;

use std::collections::HashMap;
use std::future::Future;

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use rust_decimal::Decimal;
use sqlx::{Pool, Transaction};

use crate::invoice::Invoice;
use crate::money;
use crate::order::{Line, OrderId};

/// What each database does in its own way.
pub trait NativeStore: feed_core::Backend {
    /// The service's migrations.
    const MIGRATIONS: Migrations;

    /// Stores invoices with their lines.
    ///
    /// # Errors
    ///
    /// An order has an invoice already, or a number is taken. Then none of them is stored, so that no number is
    /// lost. The caller has looked before, so another transaction stored one at the same moment.
    fn insert(
        tx: &mut Transaction<'_, Self>,
        invoices: &[Invoice],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Credits the invoices of orders that were cancelled at that time. Returns those that were not credited before.
    fn credit(
        tx: &mut Transaction<'_, Self>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> impl Future<Output = sqlx::Result<Vec<OrderId>>> + Send;
}

/// A database that can hold invoices.
pub trait Store: NativeStore {
    /// The orders among these that have an invoice, with the event that it was made from.
    fn causes(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Future<Output = sqlx::Result<HashMap<OrderId, Option<String>>>> + Send;

    /// Reserves `count` numbers of `year` and returns the first. Other instances wait for theirs until
    /// this transaction ends. If it rolls back, they get the same numbers.
    fn reserve(
        tx: &mut Transaction<'_, Self>,
        year: i32,
        count: i64,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Removes the personal data that an invoice need not keep: the e-mail address.
    fn erase(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The invoice for an order.
    fn find(
        pool: &Pool<Self>,
        id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Invoice>>> + Send;

    /// The invoices for the newest `limit` orders before `before`, newest first.
    fn list(
        pool: &Pool<Self>,
        before: OrderId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Invoice>>> + Send;

    /// How many invoices there are.
    fn count(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// The first `limit` gaps in the numbers: year, first and last serial. It is one statement, so that numbers of
    /// open transactions are no gaps.
    fn gaps(
        pool: &Pool<Self>,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<(i32, i64, i64)>>> + Send;
}

/// The service's migrations, from the folder of a database.
macro_rules! migrations {
    ($folder:literal) => {
        &[
            (
                1,
                "invoice",
                include_str!(concat!("../../migrations/", $folder, "/0001_invoice.sql")),
            ),
            (
                2,
                "cause",
                include_str!(concat!("../../migrations/", $folder, "/0002_cause.sql")),
            ),
        ]
    };
}
use migrations;

/// The lines of all invoices: order, number of the line, line.
fn lines(invoices: &[Invoice]) -> impl Iterator<Item = (OrderId, i64, &Line)> {
    invoices.iter().flat_map(|invoice| {
        let numbered = (1..).zip(&invoice.lines);
        numbered.map(|(number, line)| (invoice.order, number, line))
    })
}

/// # Errors
///
/// The amount is no whole number of cents, or more than a column holds. An order that was read has no such amounts.
fn to_cents(amount: Decimal) -> sqlx::Result<i64> {
    money::cents(amount)
        .ok_or_else(|| sqlx::Error::Encode(format!("{amount} is no amount of money").into()))
}
