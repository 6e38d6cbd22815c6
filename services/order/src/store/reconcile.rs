//! What the comparison of the orders with their events asks of the database.

use feed_core::dialect::Answer;
use sqlx::Pool;

use crate::order::{Order, OrderId};

/// A database whose orders can be read page by page, without a page that is open for long.
pub trait Reconcile: feed_core::Backend {
    /// The first `limit` orders after `after`, with their lines.
    fn orders_after(pool: &Pool<Self>, after: OrderId, limit: i64) -> impl Answer<Vec<Order>>;

    /// Those of these orders that are stored.
    fn stored(pool: &Pool<Self>, orders: &[i64]) -> impl Answer<Vec<i64>>;
}
