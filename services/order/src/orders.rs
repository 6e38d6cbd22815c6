//! Places and cancels orders: each change and its event are in one transaction.

use std::array;
use std::sync::Arc;

use feed_core::feed::Happened;
use feed_core::http::BaseUrl;
use feed_core::{Database, Feed, NewEvent, outbox};
use sqlx::Transaction;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tracing::info;

use crate::order::{CustomerId, Order, OrderId};
use crate::rules::{Draft, FieldError, unknown_customer};
use crate::store::{KeyClaim, Store};

/// The most cancellations at the same time. Those of one order take turns, so that while its row is locked only one of
/// them occupies a connection.
const TURNS: usize = 64;

/// Events of an order that its page shows; today there are at most three.
const HISTORY: u16 = 20;

/// The orders of the shop.
#[derive(Debug)]
pub struct Orders<S: Store> {
    database: Database<S>,
    feed: Feed<S>,
    base: BaseUrl,
    turns: Arc<[Mutex<()>; TURNS]>,
}

impl<S: Store> Clone for Orders<S> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            feed: self.feed.clone(),
            base: self.base.clone(),
            turns: Arc::clone(&self.turns),
        }
    }
}

/// Identifies a request that may come twice.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The client's key.
    pub key: String,
    /// A hash of its body.
    pub fingerprint: i64,
}

/// Why an order was not placed or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The draft breaks rules.
    #[error("the order is refused at {} fields", .0.len())]
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to another request, which has placed this order.
    #[error("the idempotency key was used for another request, which placed order {0}")]
    KeyReused(OrderId),
    /// The database failed; nothing is stored.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The task panicked or was stopped.
    #[error("the work was interrupted")]
    Interrupted(#[from] JoinError),
}

impl<S: Store> Orders<S> {
    /// Orders in `database`, whose events are published in `feed`.
    pub fn new(database: Database<S>, feed: Feed<S>, base: BaseUrl) -> Self {
        Self {
            database,
            feed,
            base,
            turns: Arc::new(array::from_fn(|_| Mutex::default())),
        }
    }

    /// The events of an order, newest first. The event of a change that was just made may be missing, since it may not
    /// be numbered yet.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn history(&self, id: OrderId) -> sqlx::Result<Vec<Happened>> {
        self.feed.history(&id.path(), HISTORY).await
    }

    /// The database.
    pub fn database(&self) -> &Database<S> {
        &self.database
    }

    pub(crate) fn feed(&self) -> &Feed<S> {
        &self.feed
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Places an order. If its key has placed one before, returns that order.
    ///
    /// # Errors
    ///
    /// The draft breaks rules, the key belongs to another request, or the database failed. Nothing
    /// is stored then.
    pub async fn place(
        &self,
        draft: Draft,
        key: Option<IdempotencyKey>,
        traceparent: Option<String>,
    ) -> Result<Order, OrderError> {
        let orders = self.clone();
        let place = async move { orders.place_now(draft, key, traceparent).await };
        self.database.run_to_completion(place).await
    }

    /// Cancels an order, unless it is cancelled. `None`: there is no such order.
    ///
    /// # Errors
    ///
    /// The database failed; nothing has changed then.
    pub async fn cancel(
        &self,
        id: OrderId,
        traceparent: Option<String>,
    ) -> Result<Option<Order>, OrderError> {
        let orders = self.clone();
        let cancel = async move { Ok(orders.cancel_now(id, traceparent).await?) };
        self.database.run_to_completion(cancel).await
    }

    /// Stores the order, its key and its event, all or none (I1): an early return rolls back.
    async fn place_now(
        &self,
        draft: Draft,
        key: Option<IdempotencyKey>,
        traceparent: Option<String>,
    ) -> Result<Order, OrderError> {
        let mut tx = self.database.begin().await?;
        if let Some(key) = &key
            && let Some(earlier) = claim(&mut tx, key).await?
        {
            tx.rollback().await?;
            let order = S::find(self.database.reader(), earlier).await?;
            return Ok(order.ok_or(sqlx::Error::RowNotFound)?);
        }
        let customer = draft.customer.map(CustomerId);
        let catalog = S::named(&mut tx, customer, &draft.items()).await?;
        let new = draft.check(&catalog).map_err(OrderError::Invalid)?;
        let customer = new.customer.id;
        let Some(order) = S::insert(&mut tx, new).await? else {
            return Err(OrderError::Invalid(vec![unknown_customer(customer)]));
        };
        if let Some(key) = &key {
            S::fulfil_key(&mut tx, &key.key, order.id).await?;
        }
        let event = NewEvent {
            traceparent,
            ..order.placed(&self.base)
        };
        let event_id = outbox::append(&mut tx, &event).await?;
        tx.commit().await?;
        self.feed.committed();
        info!(order.id = %order.id, event.id = event_id.urn(), "placed order {}", order.id);
        Ok(order)
    }

    /// Stores the change and its event, both or neither (I1).
    async fn cancel_now(
        &self,
        id: OrderId,
        traceparent: Option<String>,
    ) -> sqlx::Result<Option<Order>> {
        let _turn = self.turns[id.0.unsigned_abs() as usize % TURNS]
            .lock()
            .await;
        let mut tx = self.database.begin().await?;
        let Some(order) = S::cancel(&mut tx, id).await? else {
            tx.rollback().await?;
            return S::find(self.database.reader(), id).await;
        };
        let event = NewEvent {
            traceparent,
            ..order.cancelled(&self.base)
        };
        let event_id = outbox::append(&mut tx, &event).await?;
        tx.commit().await?;
        self.feed.committed();
        info!(order.id = %id, event.id = event_id.urn(), "cancelled order {id}");
        Ok(Some(order))
    }
}

/// Claims `key` for this transaction, or returns the order that the same request has placed before.
async fn claim<S: Store>(
    tx: &mut Transaction<'_, S>,
    IdempotencyKey { key, fingerprint }: &IdempotencyKey,
) -> Result<Option<OrderId>, OrderError> {
    match S::claim_key(tx, key, *fingerprint).await? {
        KeyClaim::Ours => Ok(None),
        KeyClaim::Used {
            fingerprint: used,
            order,
        } if used == *fingerprint => Ok(Some(order)),
        KeyClaim::Used { order, .. } => Err(OrderError::KeyReused(order)),
    }
}
