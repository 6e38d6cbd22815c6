//! What the erasure of a customer asks of the database.

use std::future::Future;

use sqlx::{Pool, Transaction};

use crate::order::{CustomerId, Order, OrderId};

/// A database in which customers can be erased.
pub trait Erasure: feed_core::Backend {
    /// Removes a customer, and records who has decided it. False: there is none, nor was one erased.
    fn remove_customer(
        tx: &mut Transaction<'_, Self>,
        customer: CustomerId,
        by: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Waits until the orders have ended that were being placed when the customer was removed.
    fn settle(
        pool: &Pool<Self>,
        customer: CustomerId,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The first `limit` orders after `after` that still name the customer.
    fn orders_to_erase(
        pool: &Pool<Self>,
        customer: CustomerId,
        after: OrderId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<OrderId>>> + Send;

    /// Removes the person from an order, and locks it until the transaction ends. `None`: it names
    /// nobody.
    fn erase_order(
        tx: &mut Transaction<'_, Self>,
        id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Order>>> + Send;

    /// Drops what is left of the requests that placed the orders, which are never placed again; and
    /// records that all is done.
    fn finish_erasure(
        tx: &mut Transaction<'_, Self>,
        customer: CustomerId,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}
