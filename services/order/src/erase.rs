//! Erases a customer: their personal data is removed from the orders and from the data of the orders' events, and
//! `order.erased` is published for each order.
//!
//! Each order has a transaction of its own, so that the service continues meanwhile. An interrupted erasure is finished
//! when it is started again. The customer is removed first, so that no new order escapes.

use std::fmt;

use feed_core::outbox;
use tracing::info;

use crate::order::{CustomerId, OrderId};
use crate::orders::Orders;
use crate::representation::without_person;
use crate::store::Store;

/// Orders that are read at once.
const PAGE: i64 = 100;

/// The number of orders and events that were erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Orders without personal data now.
    pub orders: u64,
    /// Events whose data has no personal data now.
    pub events: u64,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let (orders, events) = (counted(self.orders, "order"), counted(self.events, "event"));
        write!(f, "{orders} and {events}")
    }
}

/// Why a customer was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// There is no such customer, and none was erased.
    #[error("there is no customer {0}")]
    NoSuchCustomer(CustomerId),
    /// The database failed. The orders that are erased stay so. The rest is erased when the command runs again.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl<S: Store> Orders<S> {
    /// Erases a customer, or finishes an erasure that was interrupted. Records `by` as the operator.
    ///
    /// # Errors
    ///
    /// There is no such customer, or the database failed.
    pub async fn erase(&self, customer: CustomerId, by: &str) -> Result<Erased, EraseError> {
        let mut tx = self.database().begin().await?;
        if !S::remove_customer(&mut tx, customer, by).await? {
            return Err(EraseError::NoSuchCustomer(customer));
        }
        tx.commit().await?;
        S::settle(self.database().writer(), customer).await?;
        let (mut erased, mut after) = (Erased::default(), OrderId(0));
        loop {
            let reader = self.database().reader();
            let page = S::orders_to_erase(reader, customer, after, PAGE);
            let page = self.database().statement(page).await?;
            let Some(last) = page.last() else { break };
            after = *last;
            for id in page {
                if let Some(events) = self.erase_order(id).await? {
                    erased.orders += 1;
                    erased.events += events;
                }
            }
        }
        let mut tx = self.database().begin().await?;
        S::finish_erasure(&mut tx, customer).await?;
        tx.commit().await?;
        // A numbered event is known to all instances, which then drop their caches.
        self.feed().publish().await?;
        info!(customer.id = %customer, "erased customer {customer}: {erased}");
        Ok(erased)
    }

    /// Erases the order and the data of its events, and appends `order.erased`: all or none (I1). Returns the number of
    /// events that have changed; `None` if the order has no personal data.
    async fn erase_order(&self, id: OrderId) -> sqlx::Result<Option<u64>> {
        let mut tx = self.database().begin().await?;
        let Some(order) = S::erase_order(&mut tx, id).await? else {
            return Ok(None);
        };
        let event = order.erased(self.base());
        let events = outbox::rewrite(&mut tx, &event, |_, data| without_person(data)).await?;
        tx.commit().await?;
        self.feed().committed();
        Ok(Some(events))
    }
}
