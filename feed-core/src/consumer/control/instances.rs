//! Who takes events: pauses the subscription, and lists and retires its instances.

use tracing::warn;

use super::decision::{DecideError, check_name, check_reason};
use super::handle::Handle;
use crate::database::timeout::TRANSACTION;
use crate::store::Backend;
use crate::store::decide::NewDecision;
use crate::store::operate::InstanceStatus;

/// All instances: more than a subscription has partitions.
pub(super) const ALL: u32 = 1000;

impl<B: Backend> Handle<B> {
    /// Pauses the subscription: from now on no instance begins to take or retry an event, until
    /// [`unpause`](Handle::unpause). A transaction that has begun is finished, and is not waited for, except on SQLite,
    /// which has one writer. Records the reason and the operator.
    ///
    /// # Errors
    ///
    /// Returns an error if it is paused already, if `reason` or `by` cannot be recorded, or if the database failed.
    pub async fn pause(&self, reason: &str, by: &str) -> Result<(), DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let reason = check_reason(reason).map_err(DecideError::Reason)?;
        let s = &self.subscription.name;
        let decided = NewDecision {
            decision: "pause",
            reason: Some(reason),
            decided_by: by,
            outcome: Some("paused"),
        };
        let paused = async || -> Result<bool, DecideError> {
            let mut tx = self.database.begin().await?;
            if !B::pause(&mut tx, s, reason, by).await? {
                return Ok(false);
            }
            B::decide(&mut tx, s, &decided).await?;
            tx.commit().await?;
            Ok(true)
        };
        while !self.database.within(TRANSACTION, paused()).await? {
            // Otherwise it was resumed in between.
            if let Some(paused) = self.status().await?.paused {
                return Err(DecideError::Paused(paused));
            }
        }
        warn!("{by} paused the subscription {s}: {reason}");
        self.notify_instances().await;
        Ok(())
    }

    /// Ends a [pause](Handle::pause). Records the operator.
    ///
    /// # Errors
    ///
    /// Returns an error if the subscription is not paused, if `by` cannot be recorded, or if the database failed.
    pub async fn unpause(&self, by: &str) -> Result<(), DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let s = &self.subscription.name;
        let decided = NewDecision {
            decision: "resume",
            reason: None,
            decided_by: by,
            outcome: Some("resumed after a pause"),
        };
        let resumed = async {
            let mut tx = self.database.begin().await?;
            if !B::unpause(&mut tx, s).await? {
                return Err(DecideError::NotPaused);
            }
            B::decide(&mut tx, s, &decided).await?;
            Ok(tx.commit().await?)
        };
        self.database.within(TRANSACTION, resumed).await?;
        warn!("{by} resumed the subscription {s}");
        self.notify_instances().await;
        Ok(())
    }

    /// Returns the first `limit` instances: those that are alive, and those that ended within the last hour.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn instances(&self, limit: u32) -> sqlx::Result<Vec<InstanceStatus>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let instances = B::instances(pool, s, limit.into());
        self.database.statement(instances).await
    }

    /// Retires an instance: it releases its partitions to the others, and takes none until its process is restarted. One that
    /// does not react loses them when its leases end, within ten seconds; it may be frozen for longer, and come back. Records
    /// the reason and the operator.
    ///
    /// # Errors
    ///
    /// Returns an error if no instance of the last hour has that name, if it is retired already, if its version is older, if
    /// no other one takes events, if `reason` or `by` cannot be recorded, or if the database failed.
    pub async fn retire(&self, instance: &str, reason: &str, by: &str) -> Result<(), DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let reason = check_reason(reason).map_err(DecideError::Reason)?;
        let s = &self.subscription.name;
        let named = |known: &InstanceStatus| known.instance == instance;
        let known = self.instances(ALL).await?.into_iter().find(named);
        if known.is_some_and(|known| known.is_older()) {
            return Err(DecideError::Older(instance.to_owned()));
        }
        let decided = NewDecision {
            decision: &format!("retire {instance}"),
            reason: Some(reason),
            decided_by: by,
            outcome: Some("retired"),
        };
        let retired = async {
            let mut tx = self.database.begin().await?;
            if !B::retire(&mut tx, s, instance, reason, by).await? {
                return Ok(false);
            }
            B::decide(&mut tx, s, &decided).await?;
            tx.commit().await?;
            Ok::<_, DecideError>(true)
        };
        if !self.database.within(TRANSACTION, retired).await? {
            let known = self.instances(ALL).await?.into_iter().find(named);
            let name = instance.to_owned();
            return Err(match known {
                None => DecideError::NoSuchInstance(name),
                Some(InstanceStatus {
                    retired_by: Some(by),
                    ..
                }) => DecideError::Retired(name, by),
                Some(_) => DecideError::LastInstance(name),
            });
        }
        warn!("{by} retired the instance {instance} of {s}: {reason}");
        self.notify_instances().await;
        Ok(())
    }
}
