//! What the service asks of its database. All its SQL lies below this folder: one module for each
//! database, and the same tests for both.

mod postgres;
mod rows;
mod sqlite;

use std::future::Future;

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use sqlx::{Pool, Transaction};

use crate::invoice::Invoice;
use crate::order::OrderId;

/// A database that can hold invoices.
pub trait Store: feed_core::Backend {
    const MIGRATIONS: Migrations;

    /// Which of these orders have an invoice, with the events these were made from.
    fn causes(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Future<Output = sqlx::Result<Vec<(OrderId, Option<String>)>>> + Send;

    /// Takes `count` numbers of `year`; returns the first. Other instances wait for theirs until
    /// this transaction ends, and if it rolls back they get the same ones.
    fn reserve(
        tx: &mut Transaction<'_, Self>,
        year: i32,
        count: i64,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Stores invoices with their lines.
    ///
    /// # Errors
    ///
    /// An order has an invoice already, or a number is taken: better none of them than a number
    /// that is lost. The caller has looked before, so that took another one at the same moment.
    fn insert(
        tx: &mut Transaction<'_, Self>,
        invoices: &[Invoice],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Credits the invoices of orders that were cancelled at that time; returns which were not
    /// credited before.
    fn credit(
        tx: &mut Transaction<'_, Self>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> impl Future<Output = sqlx::Result<Vec<OrderId>>> + Send;

    /// Removes of a person what an invoice need not keep: the e-mail address.
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

    /// The first `limit` gaps in the numbers that were given out: year, first and last serial. In
    /// one statement, so that numbers that are just being given out are no gaps.
    fn gaps(
        pool: &Pool<Self>,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<(i32, i64, i64)>>> + Send;
}
