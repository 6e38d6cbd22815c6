//! Erasing a person: a customer's personal data goes from the orders and from the data of their
//! events, and `order.erased` says so for each order.
//!
//! One transaction for each order, so that it works beside the running service; what was broken off
//! is finished when it is begun again. The customer goes first: so no order can be placed that would
//! be overlooked.

use std::fmt;

use feed_core::outbox;
use tracing::info;

use crate::order::{CustomerId, OrderId};
use crate::orders::Orders;
use crate::representation::without_person;
use crate::store::Store;

/// Orders looked up at once.
const PAGE: i64 = 100;

/// How much was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Orders that name nobody now.
    pub orders: u64,
    /// Events whose data names nobody now.
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
    /// There is no such customer, nor was there one who is erased.
    #[error("there is no customer {0}")]
    NoSuchCustomer(CustomerId),
    /// The database failed. What is erased stays so; the rest is done when it is begun again.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl<S: Store> Orders<S> {
    /// Erases a customer; finishes it if it was begun before. `by` is recorded.
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
            let page = S::orders_to_erase(reader, customer, after, PAGE).await?;
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
        // What has its number is known to all instances, which then let go what they have in memory.
        self.feed().publish().await?;
        info!(customer.id = %customer, "erased customer {customer}: {erased}");
        Ok(erased)
    }

    /// The order, its events and the one that tells of it, all or none (I1). Returns how many events
    /// have other data now; `None` if the order names nobody.
    async fn erase_order(&self, id: OrderId) -> sqlx::Result<Option<u64>> {
        let mut tx = self.database().begin().await?;
        let Some(order) = S::erase_order(&mut tx, id).await? else {
            return Ok(None);
        };
        let told = order.erased(self.base());
        let events = outbox::rewrite(&mut tx, &told, without_person).await?;
        tx.commit().await?;
        self.feed().committed();
        Ok(Some(events))
    }
}
