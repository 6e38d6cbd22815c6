//! What the service asks of its database. All its SQL lies below this folder: one module for each
//! database, and the same tests for both.

mod erasure;
mod master_data;
mod postgres;
mod rows;
mod sqlite;

use std::collections::BTreeSet;
use std::future::Future;

use feed_core::transfer::Migrations;
use sqlx::{Pool, Transaction};

use crate::order::{CustomerId, ItemId, NewOrder, Order, OrderId, Summary};
use crate::rules::Catalog;

pub use erasure::Erasure;
pub use master_data::MasterData;

/// Customers and items that a form can offer to choose from.
const MAX_CHOICES: i64 = 1_000;

/// A database that can hold the shop's orders.
pub trait Store: MasterData + Erasure {
    const MIGRATIONS: Migrations;

    /// All customers and items, for somebody to choose from.
    fn catalog(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Catalog>> + Send;

    /// Those of the named customers and items that exist. Until the transaction ends, nobody who erases
    /// the customer overlooks what it does.
    fn named(
        tx: &mut Transaction<'_, Self>,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> impl Future<Output = sqlx::Result<Catalog>> + Send;

    /// Stores an order with its lines. `None`: the customer was erased since they were `named`.
    fn insert(
        tx: &mut Transaction<'_, Self>,
        order: NewOrder,
    ) -> impl Future<Output = sqlx::Result<Option<Order>>> + Send;

    /// Cancels an order and locks it until the transaction ends. `None`: it is not there, or was
    /// cancelled before.
    fn cancel(
        tx: &mut Transaction<'_, Self>,
        id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Order>>> + Send;

    /// Has new orders get numbers above `last`, and above those there are; returns the next one.
    fn number_orders_after(
        pool: &Pool<Self>,
        last: OrderId,
    ) -> impl Future<Output = sqlx::Result<OrderId>> + Send;

    /// One order.
    fn find(
        pool: &Pool<Self>,
        id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Order>>> + Send;

    /// The newest `limit` orders before `before`, newest first.
    fn list(
        pool: &Pool<Self>,
        before: OrderId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Summary>>> + Send;

    /// How many orders there are.
    fn count(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// As [`Store::list`], of those whose number is `text`, or whose customer's name or e-mail
    /// contains it. Latin letters match whatever their case.
    fn search(
        pool: &Pool<Self>,
        text: &str,
        before: OrderId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Summary>>> + Send;

    /// How many orders [`Store::search`] finds.
    fn count_found(pool: &Pool<Self>, text: &str)
    -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Claims `key` for the order that this transaction places. Waits for another transaction
    /// that has just claimed it.
    fn claim_key(
        tx: &mut Transaction<'_, Self>,
        key: &str,
        fingerprint: i64,
    ) -> impl Future<Output = sqlx::Result<KeyClaim>> + Send;

    /// Says which order the claimed key has placed.
    fn fulfil_key(
        tx: &mut Transaction<'_, Self>,
        key: &str,
        order: OrderId,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// Whose an idempotency key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClaim {
    /// Nobody had it: it is ours.
    Ours,
    /// A request with this body has placed this order.
    Used { fingerprint: i64, order: OrderId },
}
