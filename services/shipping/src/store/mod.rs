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

use crate::order::OrderId;
use crate::shipment::{Cause, Shipment, Status};

/// The shipments that a list shows: by default all of them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// That of this order.
    pub order: Option<OrderId>,
    /// A number is that of the order. Another text is in the customer's name.
    pub search: Option<Search>,
    pub status: Option<Status>,
    /// When the order was placed.
    pub placed: Days,
}

/// A database that can hold shipments.
pub trait Store: feed_core::Backend {
    /// The service's migrations.
    const MIGRATIONS: Migrations;

    /// Stores shipments with their lines.
    ///
    /// # Errors
    ///
    /// An order has a shipment already. The caller has looked before, so another transaction stored one at the same
    /// moment.
    fn insert(tx: &mut Transaction<'_, Self>, shipments: &[Shipment]) -> impl Answer<()>;

    /// Records that orders were cancelled at that time. Returns those that were not cancelled before, with true where
    /// the goods had left.
    fn cancel(
        tx: &mut Transaction<'_, Self>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> impl Answer<Vec<(OrderId, bool)>>;

    /// The orders among these that have a shipment, with what it was made from.
    fn causes(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Answer<HashMap<OrderId, Cause>>;

    /// Removes the personal data: the name and the address.
    fn erase(tx: &mut Transaction<'_, Self>, orders: &[OrderId]) -> impl Answer<()>;

    /// Records that the goods of a pending shipment have left; false if there is none, or if its address is erased. It
    /// is one statement, so it waits for a concurrent cancellation or erasure and then finds it.
    fn dispatch(pool: &Pool<Self>, id: OrderId) -> impl Answer<bool>;

    /// The shipment of an order.
    fn find(pool: &Pool<Self>, id: OrderId) -> impl Answer<Option<Shipment>>;

    /// The shipments of the newest `limit` orders of the selection, before `before` if there is one; newest first.
    fn list(
        pool: &Pool<Self>,
        selection: &Selection,
        before: Option<OrderId>,
        limit: i64,
    ) -> impl Answer<Vec<Shipment>>;

    /// How many shipments there are in the selection.
    fn count(pool: &Pool<Self>, selection: &Selection) -> impl Answer<i64>;
}
