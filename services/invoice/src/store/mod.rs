//! What the service asks of its database. All its SQL is in `statements.rs`, which is compiled once for each database.
//! The same tests run on both.

mod postgres;
mod sqlite;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use feed_chassis::list::{Days, Search};
use feed_core::dialect::Answer;
use feed_core::transfer::Migrations;
use sqlx::{Pool, Transaction};

use crate::invoice::{Cause, Invoice, Status};
use crate::order::OrderId;

/// The invoices that a list shows: by default all of them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// That of this order.
    pub order: Option<OrderId>,
    /// A number is that of the order. Another text is the number of the invoice, or in the customer's name.
    pub search: Option<Search>,
    pub status: Option<Status>,
    /// When it was issued.
    pub issued: Days,
}

/// A database that can hold invoices.
pub trait Store: feed_core::Backend {
    /// The service's migrations.
    const MIGRATIONS: Migrations;

    /// Stores invoices with their lines.
    ///
    /// # Errors
    ///
    /// An order has an invoice already, or a number is taken. Then none of them is stored, so that no number is
    /// lost. The caller has looked before, so another transaction stored one at the same moment.
    fn insert(tx: &mut Transaction<'_, Self>, invoices: &[Invoice]) -> impl Answer<()>;

    /// Credits the invoices of orders that were cancelled at that time. Returns those that were not credited before.
    fn credit(
        tx: &mut Transaction<'_, Self>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> impl Answer<Vec<OrderId>>;

    /// The orders among these that have an invoice, with what it was made from.
    fn causes(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Answer<HashMap<OrderId, Cause>>;

    /// Reserves `count` numbers of `year` and returns the first. Other instances wait for theirs until
    /// this transaction ends. If it rolls back, they get the same numbers.
    fn reserve(tx: &mut Transaction<'_, Self>, year: i32, count: i64) -> impl Answer<i64>;

    /// Removes the personal data that an invoice need not keep: the e-mail address.
    fn erase(tx: &mut Transaction<'_, Self>, orders: &[OrderId]) -> impl Answer<()>;

    /// The invoice for an order.
    fn find(pool: &Pool<Self>, id: OrderId) -> impl Answer<Option<Invoice>>;

    /// The invoices for the newest `limit` orders of the selection, before `before` if there is one; newest first.
    fn list(
        pool: &Pool<Self>,
        selection: &Selection,
        before: Option<OrderId>,
        limit: i64,
    ) -> impl Answer<Vec<Invoice>>;

    /// How many invoices there are in the selection.
    fn count(pool: &Pool<Self>, selection: &Selection) -> impl Answer<i64>;

    /// The first `limit` gaps in the numbers: year, first and last serial. It is one statement, so that numbers of
    /// open transactions are no gaps.
    fn gaps(pool: &Pool<Self>, limit: i64) -> impl Answer<Vec<(i32, i64, i64)>>;
}
