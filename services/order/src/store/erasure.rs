//! What the erasure of a customer asks of the database.

use feed_core::dialect::Answer;
use sqlx::{Pool, Transaction};

use crate::order::{CustomerId, Order, OrderId};

/// A database in which customers can be erased.
pub trait Erasure: feed_core::Backend {
    /// Removes a customer and records the operator. False: there is no such customer, and none was erased.
    fn remove_customer(
        tx: &mut Transaction<'_, Self>,
        customer: CustomerId,
        by: &str,
    ) -> impl Answer<bool>;

    /// Waits for the transactions that were placing an order when the customer was removed.
    fn settle(pool: &Pool<Self>, customer: CustomerId) -> impl Answer<()>;

    /// The first `limit` orders after `after` that still have the customer's personal data.
    fn orders_to_erase(
        pool: &Pool<Self>,
        customer: CustomerId,
        after: OrderId,
        limit: i64,
    ) -> impl Answer<Vec<OrderId>>;

    /// Removes the personal data from an order, and locks it until the transaction ends. `None`: it has none.
    fn erase_order(tx: &mut Transaction<'_, Self>, id: OrderId) -> impl Answer<Option<Order>>;

    /// Deletes the idempotency keys of the customer's orders, whose requests never come again, and records that the
    /// erasure is finished.
    fn finish_erasure(tx: &mut Transaction<'_, Self>, customer: CustomerId) -> impl Answer<()>;
}
