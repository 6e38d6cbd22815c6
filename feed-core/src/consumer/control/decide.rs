//! Decides about parked events, one or many, and takes decisions back.
//!
//! A decision about many is executed partition by partition, in transactions of a bounded size. Each records how far the
//! decision has got: one that is interrupted has touched what its outcome says.

use sqlx::Transaction;
use tracing::warn;

use super::decision::{DecideError, Decision, NoUndo, check_name, check_reason, moment};
use super::handle::{Handle, forms};
use super::instances::ALL;
use super::selection::Selection;
use crate::consumer::apply::failure::is_lock_timeout;
use crate::consumer::sanitize::printable;
use crate::database::timeout::TRANSACTION;
use crate::store::Backend;
use crate::store::decide::{Decided, NewDecision, Skipping, Verb, not_carried_out};
use crate::store::operate::{InstanceStatus, ParkedEvent};

/// The most events that one transaction skips or parks again.
const AT_ONCE: i64 = 1000;

/// The newest events of a subject among which an operator's decision is searched.
const RECENT: u32 = 100;

/// What an operator does about failed events.
#[derive(Clone, Copy)]
enum Act<'a> {
    Retry,
    /// For this reason.
    Skip(&'a str),
}

impl<'a> Act<'a> {
    fn verb(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip(_) => "skip",
        }
    }

    fn reason(self) -> Option<&'a str> {
        match self {
            Self::Retry => None,
            Self::Skip(reason) => Some(reason),
        }
    }

    fn outcome(self, selection: &Selection, events: u64) -> String {
        match self {
            Self::Retry => format!("{events} to be tried again"),
            Self::Skip(_) if selection.is_one() => "skipped".to_owned(),
            Self::Skip(_) => format!("{events} skipped"),
        }
    }
}

/// A decision that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The position of the undo among the [decisions](Handle::decisions).
    pub position: i64,
    /// What came of it.
    pub outcome: String,
}

impl<B: Backend> Handle<B> {
    /// Retries a failed event now, by its id or by its subject, and then the later events of that
    /// subject.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is not parked or waits for another one, if `by` cannot be recorded, or
    /// if the database failed.
    pub async fn retry(&self, about: &str, by: &str) -> Result<(), DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        self.decide_about_one(about, Act::Retry, by).await?;
        Ok(())
    }

    /// Retries the selected events, and then the later events of their subjects. Returns the number of events to retry.
    ///
    /// # Errors
    ///
    /// Returns an error if the selection names something and nothing is selected, if `by` cannot be recorded, if an
    /// instance has locked some of the events, or if the database failed: [`DecideError::Partly`] if others are retried.
    pub async fn retry_selected(
        &self,
        selection: &Selection,
        by: &str,
    ) -> Result<u64, DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let events = self.decide_about(selection, Act::Retry, by).await?;
        match events {
            0 if !selection.is_all() => Err(self.none_selected(selection).await?),
            _ => Ok(events),
        }
    }

    /// Skips a failed event for ever, by its id or by its subject, and releases the later events of its subject. Records the
    /// reason and the operator. [`undo`](Self::undo) takes it back, until a later event of the subject takes effect. Returns
    /// the event. The next one of the subject is skipped by its id alone until then.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is not parked or waits for another one, if an earlier one of that subject was skipped,
    /// if `reason` or `by` cannot be recorded, or if the database failed.
    pub async fn skip(
        &self,
        about: &str,
        reason: &str,
        by: &str,
    ) -> Result<ParkedEvent, DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let reason = check_reason(reason).map_err(DecideError::Reason)?;
        self.decide_about_one(about, Act::Skip(reason), by).await
    }

    /// Skips the selected events for ever, and releases the later events of their subjects. Records the reason and the
    /// operator. Returns the number of events.
    ///
    /// # Errors
    ///
    /// Returns an error if the selection names nothing, if nothing is selected, if `reason` or `by` cannot be recorded,
    /// if the skip was taken back half-way, if an instance has locked some of the events, or if the database failed:
    /// [`DecideError::Partly`] if others are skipped.
    pub async fn skip_selected(
        &self,
        selection: &Selection,
        reason: &str,
        by: &str,
    ) -> Result<u64, DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let reason = check_reason(reason).map_err(DecideError::Reason)?;
        if selection.is_all() {
            return Err(DecideError::Everything);
        }
        let events = self.decide_about(selection, Act::Skip(reason), by).await?;
        if events == 0 {
            return Err(self.none_selected(selection).await?);
        }
        let selected = selection.to_string();
        warn!(
            "{by} skipped {events} events, {}: {reason}",
            printable(&selected)
        );
        Ok(events)
    }

    /// Decides about a failed event, by its id or by its subject: about a selection of that one.
    async fn decide_about_one(
        &self,
        about: &str,
        act: Act<'_>,
        by: &str,
    ) -> Result<ParkedEvent, DecideError> {
        let event = self.failed(about, act).await?;
        let selection = Selection::of_event(&event.id);
        if self.decide_about(&selection, act, by).await? == 0 {
            return Err(self.not_parked(about).await?);
        }
        if let Act::Skip(reason) = act {
            warn!(
                event.id,
                event.subject,
                "{by} skipped event {}: {reason}",
                printable(&event.id)
            );
        }
        Ok(event)
    }

    /// Decides about the selected events, partition by partition; returns their number. The first transaction that touches one
    /// records the decision. A partition that an instance has locked is left out, and reported with what is done.
    async fn decide_about(
        &self,
        selection: &Selection,
        act: Act<'_>,
        by: &str,
    ) -> Result<u64, DecideError> {
        let s = &self.subscription.name;
        let partitions = B::partitions_of(self.database.reader(), s, selection);
        let partitions = self.database.statement(partitions).await?;
        let (mut events, mut decision, mut failed) = (0, None, None);
        'partitions: for partition in partitions {
            let mut rest = true;
            while rest {
                let portion = self.decide_in(selection, partition, act, by, decision, events);
                match self.database.within(TRANSACTION, portion).await {
                    Ok((done, position, more)) => {
                        (events, decision, rest) = (events + done, position, more);
                    }
                    Err(DecideError::Database(error)) if is_lock_timeout(&error) => {
                        failed = Some(DecideError::BeingTried);
                        continue 'partitions;
                    }
                    Err(error) => {
                        failed = Some(error);
                        break 'partitions;
                    }
                }
            }
        }
        if events > 0 {
            self.notify_instances().await;
        }
        match failed {
            None => Ok(events),
            Some(error) if events == 0 || matches!(error, DecideError::TakenBack(_)) => Err(error),
            Some(error) => {
                let done = act.outcome(selection, events);
                let selected = selection.to_string();
                warn!(
                    "{by} decided about {}: {done}, and no more: {error}",
                    printable(&selected)
                );
                let error = Box::new(error);
                Err(DecideError::Partly { done, error })
            }
        }
    }

    /// Decides about the selected events of a partition, or about the first of them, after so many `events` of others. Returns
    /// their number, the position of the decision, and whether more are left.
    async fn decide_in(
        &self,
        selection: &Selection,
        partition: i64,
        act: Act<'_>,
        by: &str,
        decision: Option<i64>,
        events: u64,
    ) -> Result<(u64, Option<i64>, bool), DecideError> {
        let mut tx = self.database.begin().await?;
        let position = match decision {
            Some(position) => position,
            None => {
                let decided = NewDecision {
                    decision: &format!("{} {selection}", act.verb()),
                    reason: act.reason(),
                    decided_by: by,
                    outcome: Some(&act.outcome(selection, 0)),
                };
                B::decide(&mut tx, &self.subscription.name, &decided).await?
            }
        };
        let acted = self.act_on(&mut tx, selection, partition, act, by, position);
        let (done, rest) = acted.await?;
        if done == 0 {
            return Ok((0, decision, false));
        }
        let outcome = act.outcome(selection, events + done);
        if !B::set_outcome(&mut tx, position, &outcome).await? {
            return Err(DecideError::TakenBack(events));
        }
        tx.commit().await?;
        Ok((done, Some(position), rest))
    }

    /// Acts on the selected events of a partition, or on the first of them. Returns their number, and whether more are left.
    async fn act_on(
        &self,
        tx: &mut Transaction<'_, B>,
        selection: &Selection,
        partition: i64,
        act: Act<'_>,
        by: &str,
        decision: i64,
    ) -> Result<(u64, bool), DecideError> {
        let s = &self.subscription.name;
        // The owner of the partition may be retrying these events now, and another operator decide about them: the lock orders
        // all. The retry of one event changes one row: it waits for an attempt of that event alone.
        let retries_one = matches!(act, Act::Retry) && selection.is_one();
        if !retries_one {
            self.lock(tx, partition).await?;
        }
        let Act::Skip(reason) = act else {
            let retried = B::retry_selected(tx, s, selection, partition, decision).await?;
            return Ok((retried, false));
        };
        let ids = B::selected_in(tx, s, selection, partition, AT_ONCE).await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let skipping = Skipping {
            reason,
            by,
            decision,
        };
        let skipped = B::skip_parked(tx, s, &ids, &skipping).await?;
        Ok((skipped, ids.len() as i64 == AT_ONCE))
    }

    /// Stores a decision for a running instance to execute. Returns its position among the
    /// [decisions](Handle::decisions).
    ///
    /// # Errors
    ///
    /// Returns an error if `by` cannot be recorded or the database failed.
    pub async fn decide(&self, decision: Decision, by: &str) -> Result<i64, DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let decided = NewDecision {
            decision: &decision.to_string(),
            reason: None,
            decided_by: by,
            outcome: None,
        };
        let stored = async {
            let mut tx = self.database.begin().await?;
            // An undo that has not seen a replay ends first.
            B::lock_subscription(&mut tx, &self.subscription.name).await?;
            let position = B::decide(&mut tx, &self.subscription.name, &decided).await?;
            tx.commit().await?;
            Ok::<_, DecideError>(position)
        };
        let position = self.database.within(TRANSACTION, stored).await?;
        self.notify_instances().await;
        Ok(position)
    }

    /// Takes back the decision at `position`, where nothing has come of it yet: one that no instance has executed, or a skip, as
    /// long as no later event of the subject has taken effect. A skipped event is then parked again as it was. Of
    /// a skip of many, those are parked again for which it is possible.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such decision or nothing of it can be undone, if `by` cannot be recorded, or
    /// if the database failed.
    pub async fn undo(&self, position: i64, by: &str) -> Result<Undone, DecideError> {
        let by = check_name(by).map_err(DecideError::Name)?;
        let Some(made) = self.decision(position).await? else {
            return Err(DecideError::NoSuchDecision(position));
        };
        let undone = match made.done_at {
            None => {
                let withdrawn = self.withdraw(position, by);
                self.database.within(TRANSACTION, withdrawn).await?
            }
            Some(_) if made.verb() == Verb::Skip => self.unskip(position, by).await?,
            Some(_) => None,
        };
        let Some(undone) = undone else {
            // As it is by now: another operator or an instance may have been first.
            let made = self.decision(position).await?.unwrap_or(made);
            return Err(DecideError::CannotUndo(position, why_not(made)));
        };
        warn!(
            "{by} has taken back decision {position}: {}",
            undone.outcome
        );
        self.notify_instances().await;
        Ok(undone)
    }

    async fn decision(&self, position: i64) -> sqlx::Result<Option<Decided>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let decision = B::decision(pool, s, position);
        self.database.statement(decision).await
    }

    /// Closes an open decision, unless an instance has begun to execute it.
    async fn withdraw(&self, position: i64, by: &str) -> sqlx::Result<Option<Undone>> {
        let mut tx = self.database.begin().await?;
        let outcome = not_carried_out(format_args!("taken back by {by}"));
        if !B::close_decision(&mut tx, position, None, &outcome).await? {
            return Ok(None);
        }
        let outcome = "taken back before it was carried out";
        let decided = NewDecision {
            decision: &format!("undo {position}"),
            reason: None,
            decided_by: by,
            outcome: Some(outcome),
        };
        let undo = B::decide(&mut tx, &self.subscription.name, &decided).await?;
        B::set_undone(&mut tx, position, undo).await?;
        tx.commit().await?;
        Ok(Some(Undone {
            position: undo,
            outcome: outcome.to_owned(),
        }))
    }

    /// Parks the events again that a decision has skipped, as far as that is possible.
    async fn unskip(&self, position: i64, by: &str) -> Result<Option<Undone>, DecideError> {
        // It would apply later events of the subject, and leave the kept event as it is.
        let mut instances = self.instances(ALL).await?.into_iter();
        if let Some(older) = instances.find(InstanceStatus::is_older) {
            return Err(DecideError::CannotUndo(
                position,
                NoUndo::Older(older.instance),
            ));
        }
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let (mut parked, mut undo) = (0, None);
        loop {
            let kept = B::kept(pool, position, AT_ONCE);
            let kept = self.database.statement(kept).await?;
            if kept.is_empty() {
                break;
            }
            let portion = async {
                let mut tx = self.database.begin().await?;
                let at = match undo {
                    Some(at) => at,
                    None => {
                        let decided = NewDecision {
                            decision: &format!("undo {position}"),
                            reason: None,
                            decided_by: by,
                            outcome: Some("0 parked again"),
                        };
                        B::decide(&mut tx, s, &decided).await?
                    }
                };
                // A replay reads early which events it must not forget, and none is decided before the end.
                B::lock_subscription(&mut tx, s).await?;
                if B::is_replay_open(&mut tx, s).await? {
                    return Err(DecideError::UnderWay);
                }
                // An instance may be applying a later event of the subject now, and the skip itself be under way: the lock
                // orders all. All transactions lock partitions first, in order, and then the decision.
                let mut partitions: Vec<i64> =
                    kept.iter().map(|(partition, _)| *partition).collect();
                partitions.dedup();
                for partition in partitions {
                    B::lock_partition(&mut tx, s, partition).await?;
                }
                B::set_undone(&mut tx, position, at).await?;
                let ids: Vec<&str> = kept.iter().map(|(_, id)| id.as_str()).collect();
                let again = B::unskip(&mut tx, s, &ids, position, at).await?;
                if again > 0 {
                    let outcome = format!("{} parked again", parked + again);
                    B::set_outcome(&mut tx, at, &outcome).await?;
                    tx.commit().await?;
                }
                Ok::<_, DecideError>((again, at))
            };
            let (again, at) = self.database.within(TRANSACTION, portion).await?;
            // Otherwise later events have taken effect meanwhile: none of these is kept any longer.
            if again > 0 {
                parked += again;
                undo = Some(at);
            }
        }
        let Some(at) = undo else { return Ok(None) };
        let mut outcome = format!("{parked} parked again");
        let left = self.database.statement(B::skipped_by(pool, position));
        let left = left.await?;
        if left > 0 {
            outcome += &format!("; {left} stay skipped, for which it is too late");
            let completed = async {
                let mut tx = self.database.begin().await?;
                B::set_outcome(&mut tx, at, &outcome).await?;
                tx.commit().await
            };
            self.database.within(TRANSACTION, completed).await?;
        }
        Ok(Some(Undone {
            position: at,
            outcome,
        }))
    }

    /// Locks a partition, unless a replay forgets its events: what is decided about one would be forgotten, or repeated
    /// after later ones (I6). A replay begins under the lock of all partitions.
    async fn lock(&self, tx: &mut Transaction<'_, B>, partition: i64) -> Result<(), DecideError> {
        let s = &self.subscription.name;
        B::lock_partition(tx, s, partition).await?;
        match B::is_under_way(tx, s).await? {
            true => Err(DecideError::UnderWay),
            false => Ok(()),
        }
    }

    /// Returns the parked event with that id, or the first one of that subject, if it failed itself.
    async fn failed(&self, about: &str, act: Act<'_>) -> Result<ParkedEvent, DecideError> {
        let Some(row) = self.parked_about(about, 1).await?.pop() else {
            return Err(self.not_parked(about).await?);
        };
        // A second skip by the subject would be about another event than the first one.
        if matches!(act, Act::Skip(_)) && !forms(about).iter().any(|form| *form == row.id) {
            let (pool, s) = (self.database.reader(), &self.subscription.name);
            let before = B::skipped_before(pool, s, &row.subject);
            if let Some(before) = self.database.statement(before).await? {
                return Err(DecideError::SkippedBefore {
                    event: before.name(),
                    by: before.skipped_by.unwrap_or_default(),
                    at: before.skipped_at,
                });
            }
        }
        match row.reason {
            None => Err(DecideError::Waits(row.id, row.subject)),
            Some(_) => Ok(row),
        }
    }

    /// Says why an event is not parked: which operator has decided about it before, if one has.
    async fn not_parked(&self, about: &str) -> sqlx::Result<DecideError> {
        // A later event of the subject may have taken effect since.
        let events = self.taken_about(about, None, RECENT).await?;
        let decided = self.decisions_about(&events).await?;
        Ok(match decided.into_iter().next() {
            Some(first) => already_decided(about, first),
            None => DecideError::NotParked(about.to_owned()),
        })
    }

    /// Says why nothing is selected: which operator has decided about the same before, if one has.
    async fn none_selected(&self, selection: &Selection) -> sqlx::Result<DecideError> {
        let texts = ["retry", "skip"].map(|what| format!("{what} {selection}"));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ids: Vec<&str> = selection.event_id.iter().map(String::as_str).collect();
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let decided = B::decisions_of(pool, s, &texts, &ids);
        let first = self.database.statement(decided).await?.into_iter().next();
        let by_now = Selection {
            as_of: None,
            ..selection.clone()
        };
        let events = self.database.statement(B::count(pool, s, &by_now)).await?;
        let selected = selection.to_string();
        Ok(match first {
            first if events > 0 => DecideError::FailedSince {
                selected,
                decided: first.map_or_else(String::new, |first| {
                    let (by, at) = (first.decided_by, moment(first.decided_at));
                    format!("{by} decided at {at}: {}; ", first.decision)
                }),
                events,
            },
            Some(first) => already_decided(&selected, first),
            None => DecideError::NoneSelected(selected),
        })
    }
}

fn already_decided(about: &str, first: Decided) -> DecideError {
    DecideError::AlreadyDecided {
        about: about.to_owned(),
        decision: first.decision,
        by: first.decided_by,
        at: first.decided_at,
    }
}

/// Says why a decision cannot be undone.
fn why_not(made: Decided) -> NoUndo {
    let verb = made.verb();
    if let Some(by) = made.undone_by {
        let at = made.undone_at.unwrap_or(made.decided_at);
        return NoUndo::Undone { by, at };
    }
    match verb {
        Verb::Skip => NoUndo::TooLate,
        Verb::Retry => NoUndo::Retry,
        Verb::Undo => NoUndo::Undo,
        Verb::Pause => NoUndo::Pause,
        Verb::Retire => NoUndo::Retire,
        Verb::Resume | Verb::Other if made.done_at.is_none() => NoUndo::UnderWay,
        Verb::Resume | Verb::Other => NoUndo::Executed(made.outcome.unwrap_or_default()),
    }
}
