//! What the service asks of its database. All its SQL lies below this folder: one module for each
//! database, and the same tests for both.

mod postgres;
mod rows;
mod sqlite;

use std::future::Future;

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use sqlx::{Pool, Transaction};

use crate::order::OrderId;
use crate::shipment::Shipment;

/// A database that can hold shipments.
pub trait Store: feed_core::Backend {
    const MIGRATIONS: Migrations;

    /// Which of these orders have a shipment, with the events these were made from.
    fn causes(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Future<Output = sqlx::Result<Vec<(OrderId, Option<String>)>>> + Send;

    /// Stores shipments with their lines.
    ///
    /// # Errors
    ///
    /// An order has a shipment already. The caller has looked before, so that made another one at
    /// the same moment.
    fn insert(
        tx: &mut Transaction<'_, Self>,
        shipments: &[Shipment],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Notes that orders were cancelled at that time; returns those for which that is new, with
    /// true where the goods had left.
    fn cancel(
        tx: &mut Transaction<'_, Self>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> impl Future<Output = sqlx::Result<Vec<(OrderId, bool)>>> + Send;

    /// Removes the person: the name and the address.
    fn erase(
        tx: &mut Transaction<'_, Self>,
        orders: &[OrderId],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Notes that the goods of a pending shipment have left; false if there is none.
    fn dispatch(pool: &Pool<Self>, id: OrderId) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// The shipment of an order.
    fn find(
        pool: &Pool<Self>,
        id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Shipment>>> + Send;

    /// The shipments of the newest `limit` orders before `before`, newest first.
    fn list(
        pool: &Pool<Self>,
        before: OrderId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Shipment>>> + Send;

    /// How many shipments there are.
    fn count(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;
}
