//! What the service asks of its database. All its SQL is below this folder: `statements` are compiled once for each
//! database, whose own module has the rest. The same tests run on both.

mod erasure;
mod postgres;
mod reconcile;
mod records;
mod sqlite;

use std::collections::BTreeSet;

use feed_chassis::list::{Days, Search};
use feed_core::dialect::Answer;
use feed_core::transfer::Migrations;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::{Pool, Transaction};

use crate::order::{CustomerId, ItemId, NewOrder, Order, OrderId, Status, Summary};
use crate::rules::Catalog;

pub use erasure::Erasure;
pub use reconcile::Reconcile;
pub use records::{Records, Stored, Value};

/// The most customers, and the most items, that a form offers beside those that it names.
pub const MAX_CHOICES: usize = 1_000;

/// The orders that a list shows: by default all of them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A number is that of the order. Another text is in the customer's name or e-mail address.
    pub search: Option<Search>,
    pub status: Option<Status>,
    pub customer: Option<CustomerId>,
    /// When it was placed.
    pub placed: Days,
}

/// A database that can hold the shop's orders.
pub trait Store: Records + Erasure + Reconcile {
    /// The service's migrations.
    const MIGRATIONS: Migrations;

    /// Stores an order with its lines. `None`: the customer was erased since they were `named`.
    fn insert(tx: &mut Transaction<'_, Self>, order: NewOrder) -> impl Answer<Option<Order>>;

    /// Gives new rows of a table numbers above `last`, and above those that were given out. Returns the next number.
    fn number_after(pool: &Pool<Self>, table: &'static str, last: i64) -> impl Answer<i64>;

    /// The customers and items that a form offers: the first [`MAX_CHOICES`] of each, and those that it names.
    fn catalog(
        pool: &Pool<Self>,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> impl Answer<Catalog>;

    /// Those of the named customers and items that exist. Until the transaction ends, an erasure of the customer waits
    /// for it or finds what it has stored.
    fn named(
        tx: &mut Transaction<'_, Self>,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> impl Answer<Catalog>;

    /// Cancels an order and locks it until the transaction ends. `None`: there is no such order, or it was cancelled
    /// before.
    fn cancel(tx: &mut Transaction<'_, Self>, id: OrderId) -> impl Answer<Option<Order>>;

    /// One order.
    fn find(pool: &Pool<Self>, id: OrderId) -> impl Answer<Option<Order>>;

    /// The newest `limit` orders of the selection, before `before` if there is one; newest first.
    fn list(
        pool: &Pool<Self>,
        selection: &Selection,
        before: Option<OrderId>,
        limit: i64,
    ) -> impl Answer<Vec<Summary>>;

    /// How many orders there are in the selection.
    fn count(pool: &Pool<Self>, selection: &Selection) -> impl Answer<i64>;

    /// Claims `key` for the order that this transaction places. Waits for another transaction that has claimed it.
    fn claim_key(
        tx: &mut Transaction<'_, Self>,
        key: &str,
        fingerprint: i64,
    ) -> impl Answer<KeyClaim>;

    /// Records the order that the claimed key has placed.
    fn fulfil_key(tx: &mut Transaction<'_, Self>, key: &str, order: OrderId) -> impl Answer<()>;
}

/// The result of claiming an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClaim {
    /// No request has used it: it is ours.
    Ours,
    /// A request with this body has placed this order.
    Used { fingerprint: i64, order: OrderId },
}

/// # Errors
///
/// The amount is no whole number of cents, or more than a column holds. The rules and the bounds of a price exclude
/// both.
fn to_cents(amount: Decimal) -> sqlx::Result<i64> {
    let cents = amount * Decimal::ONE_HUNDRED;
    cents
        .is_integer()
        .then(|| cents.to_i64())
        .flatten()
        .ok_or_else(|| sqlx::Error::Encode(format!("{amount} is no amount of money").into()))
}
