//! Parked events that are due: tried again, and the later ones of their subject after them, in
//! sequence.

use std::sync::Arc;
use std::time::SystemTime;

use sqlx::Transaction;
use tracing::info;

use super::verdict::{Failure, describe, in_own_task, retry_in};
use super::{Context, Effect, EffectError, Received};
use crate::store::Backend;
use crate::store::consume::Held;
use crate::trace::{Kind, Work, of_event};

/// Subjects looked after in one round, so that new events are not kept waiting.
const SUBJECTS: i64 = 100;

/// Parked events read at once.
const PAGE: i64 = 100;

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Tries what is due in the partitions we hold.
    pub(super) async fn retry_due(self: &Arc<Self>, held: &[Held]) -> sqlx::Result<()> {
        let (pool, s, me) = self.names();
        for (partition, subject) in B::due(pool, s, me, SUBJECTS).await? {
            let held = held
                .iter()
                .find(|held| held.partition == partition)
                .cloned();
            if let Some(held) = held {
                self.retry_subject(&held, &subject).await?;
            }
        }
        Ok(())
    }

    async fn retry_subject(self: &Arc<Self>, held: &Held, subject: &str) -> sqlx::Result<()> {
        loop {
            let (context, first) = (Arc::clone(self), (held.clone(), subject.to_owned()));
            let retried =
                in_own_task(async move { context.retry_first(&first.0, &first.1).await }).await;
            match retried {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Failure::Database(error)) => return Err(error),
                Err(Failure::Effect(error)) => return self.postpone(held, subject, &error).await,
            }
        }
    }

    /// Applies the first parked event of `subject`; false if none is due, or the partition is no
    /// longer ours.
    async fn retry_first(&self, held: &Held, subject: &str) -> Result<bool, Failure> {
        let (_, s, me) = self.names();
        let mut tx = self.database.begin().await?;
        if !B::lock(&mut tx, s, me, held).await? {
            return Ok(false);
        }
        let Some(parked) = B::first_parked(&mut tx, s, subject).await? else {
            return Ok(false);
        };
        let event: Received = serde_json::from_str(&parked.event).map_err(|error| {
            let reason = format!("the parked event cannot be read: {error}");
            Failure::Effect(EffectError::Park(reason))
        })?;
        let (parent, now) = (event.traceparent.as_deref(), SystemTime::now());
        let applying = of_event("feed.apply", Kind::Internal, &event.id, parent, now);
        let work = Work::on(std::iter::once(applying));
        B::unpark(&mut tx, s, &parked.event_id).await?;
        self.effect(&mut tx, std::slice::from_ref(&event)).await?;
        tx.commit().await?;
        work.done();
        info!(event.id, event.subject, "applied parked event {}", event.id);
        Ok(true)
    }

    /// Puts the data of `by` in the place of that of the parked events of its subject. Those that
    /// failed are tried again: their reason may have been in the data, or quote it.
    pub(super) async fn erase_parked(
        &self,
        tx: &mut Transaction<'_, B>,
        by: &Received,
    ) -> sqlx::Result<()> {
        let s = &self.subscription.name;
        let reason = format!("its data was erased by event {}", by.id);
        let mut after = 0;
        loop {
            let page = B::parked_of(tx, s, &by.subject, after, PAGE).await?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            for (_, event_id, event) in page {
                // One that cannot be read has no place, type or time that could be kept.
                let event = serde_json::from_str(&event).unwrap_or_else(|_| by.clone());
                let event = Received {
                    data: by.data.clone(),
                    ..event
                };
                let event = serde_json::to_string(&event)
                    .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
                B::replace_parked(tx, s, &event_id, &event, &reason).await?;
            }
        }
        Ok(())
    }

    async fn postpone(&self, held: &Held, subject: &str, error: &EffectError) -> sqlx::Result<()> {
        let (_, s, me) = self.names();
        let mut tx = self.database.begin().await?;
        if B::lock(&mut tx, s, me, held).await?
            && let Some(parked) = B::first_parked(&mut tx, s, subject).await?
        {
            let again = retry_in(error, parked.attempts + 1);
            B::postpone(&mut tx, s, &parked.event_id, &describe(error), again).await?;
        }
        tx.commit().await
    }
}
