//! Compares what a service has stored with what the feed's events demand. It changes nothing.
//!
//! Events are applied meanwhile, and the result must contain no false difference:
//!
//! - An event is *settled* if it lies below all cursors as they were before anything else was
//!   read, and a later read finds it neither parked nor skipped. A settled event had its effect in
//!   the transaction that moved the cursor, or in the one that removed it from the parked events;
//!   neither is ever undone.
//! - The stored data is read after that. It may contain effects of later events, but only of
//!   events that their partition's cursor had passed by then. So the feed is read up to the highest
//!   cursor after the comparison, and the subjects of those events are left out.
//! - A comparison that ends before the cursor reads the later events of its subjects too: a
//!   cancellation in December explains a credit note of an order in November.
//! - A replay, or a decision that moves the subscription, makes settled events unsettled: an error.

mod cited;
mod period;
pub(super) mod report;

use std::collections::HashSet;
use std::future::Future;

use chrono::Utc;

use super::decision::Decision;
use super::handle::Handle;
use crate::consumer::received::Received;
use crate::consumer::source::content::{Arrival, arrivals};
use crate::consumer::source::document::Document;
use crate::consumer::source::entry::FoundEntry;
use crate::consumer::source::fetch::Source;
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::persist::{PAUSE, with_retries};
use crate::consumer::source::redact::redact_url;
use crate::consumer::source::walk::{Limits, Walk, WalkError};
use crate::database::Database;
use crate::event::Sequence;
use crate::store::Backend;
use crate::store::consume::SubscriptionState;

pub use cited::Cited;
pub use period::{Bound, Period};
pub use report::{Compared, Difference, Kind, Reconciliation, Sum, Totals};

/// Attempts per request that fails for a transient reason or is late.
const ATTEMPTS: u32 = 6;

/// The limits of a walk through a feed without sequences (I11). No document is kept, so their bytes
/// do not count.
const LIMITS: Limits = Limits {
    documents: 1_000,
    bytes: usize::MAX,
};

/// Differences that are kept; more of them need no list.
const KEPT: usize = 1_000;

/// Decisions read to find out whether one was executed meanwhile.
const DECISIONS: i64 = 1_000;

/// The data that a service must have, according to the events of the feed. `()` is for a service
/// that compares nothing.
pub trait Reconcile<B: Backend>: Default + Send + 'static {
    /// False if there is nothing to compare; no page then offers a reconciliation.
    const COMPARES: bool = true;

    /// Records what `event` demands. `settled` is false if the event need not have an effect: it is
    /// parked, waits, was skipped or passed over, or was never taken. Its subject must then be left
    /// out.
    ///
    /// Events of a feed with sequences come in sequence; those of other feeds may come in any
    /// order.
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be read. For a settled event that is a difference,
    /// since it could be read before.
    fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String>;

    /// Compares the demands with the stored data, page by page: each by [`Database::statement`].
    fn compare(self, database: &Database<B>)
    -> impl Future<Output = sqlx::Result<Compared>> + Send;
}

impl<B: Backend> Reconcile<B> for () {
    const COMPARES: bool = false;

    fn expect(&mut self, _: &Received, _: bool) -> Result<(), String> {
        Ok(())
    }

    async fn compare(self, _: &Database<B>) -> sqlx::Result<Compared> {
        Ok(Compared::default())
    }
}

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The feed could not be read.
    #[error("cannot read the feed")]
    Fetch(#[from] FetchError),
    /// The consumer's database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The feed is another one than that whose events were taken.
    #[error("the feed is another one: its epoch is {found}, ours is {ours}")]
    OtherEpoch {
        /// The epoch of the events that were taken.
        ours: String,
        /// The epoch of the feed now.
        found: String,
    },
    /// The feed has sequences no longer.
    #[error("the feed has no sequence any more: is {0} still the same feed?")]
    NotSequenced(String),
    /// The feed has a gap.
    #[error("the feed does not continue after event {at}: it returned {first} to {last}")]
    Hole {
        /// The last event before the gap.
        at: Sequence,
        /// The first event of the next document.
        first: Sequence,
        /// The last event of that document.
        last: Sequence,
    },
    /// The feed ends before the cursor.
    #[error("the feed ends at event {ends}, but events up to {taken} were taken from it")]
    TooShort {
        /// The newest event of the feed.
        ends: Sequence,
        /// The cursor.
        taken: Sequence,
    },
    /// A feed without sequences is too long to walk, or has a cycle.
    #[error("the feed has more than {documents} documents, or a cycle")]
    TooLong {
        /// Documents read.
        documents: usize,
    },
    /// The start or the end lies above the cursor.
    #[error("event {event} was not taken yet: events up to {taken} were")]
    NotTaken {
        /// The requested start or end.
        event: Sequence,
        /// The cursor.
        taken: Sequence,
    },
    /// A decision was executed during the reconciliation.
    #[error("the subscription was moved meanwhile: compare again")]
    Moved,
    /// The service has no reconciliation.
    #[error("this service compares nothing")]
    ComparesNothing,
}

/// Compares what `R` makes of the feed's events in `period` with the stored data, and stores the
/// result. Only a period without an end finds stored data that no event explains. Calls `progress` with the
/// current and the last sequence.
///
/// A stored result with differences stays until a comparison of everything, or one that finds others.
///
/// # Errors
///
/// Returns an error if the feed or the database cannot be read, or if the feed is another one.
pub async fn reconcile<B: Backend, R: Reconcile<B>>(
    handle: &Handle<B>,
    period: Period,
    progress: impl FnMut(Sequence, Sequence) + Send,
) -> Result<Reconciliation, ReconcileError> {
    if !R::COMPARES {
        return Err(ReconcileError::ComparesNothing);
    }
    let start = Snapshot::of(handle).await?;
    let source = Source::new(&handle.subscription);
    let comparison = Comparison::<B, R>::new(handle, &source, period);
    let result = match start.state.epoch.clone() {
        Some(epoch) => {
            let taken = start.state.sequence;
            let mut bounds = [period.from, period.until].into_iter().flatten();
            let untaken = bounds.find_map(|bound| {
                let sequence = bound.sequence()?;
                (sequence > taken.max(1)).then_some(sequence)
            });
            if let Some(event) = untaken {
                return Err(ReconcileError::NotTaken { event, taken });
            }
            numbered(comparison, &epoch, &start, progress).await?
        }
        None => unnumbered(comparison).await?,
    };
    if start.was_moved(&Snapshot::of(handle).await?) {
        return Err(ReconcileError::Moved);
    }
    store(handle, period, &result).await?;
    Ok(result)
}

/// Stores the result. A part without differences does not clear those that were found elsewhere.
async fn store<B: Backend>(
    handle: &Handle<B>,
    period: Period,
    result: &Reconciliation,
) -> sqlx::Result<()> {
    let differs = |result: &Reconciliation| result.totals.unequal() > 0;
    let is_part = period != Period::default();
    if is_part && !differs(result) && handle.reconciliation().await?.as_ref().is_some_and(differs) {
        return Ok(());
    }
    let text = serde_json::to_string(result).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (database, s) = (&handle.database, &handle.subscription.name);
    let stored = B::set_reconciled(database.writing(), s, &text);
    database.statement(stored).await
}

/// Reconciles with a feed that has sequences.
async fn numbered<B: Backend, R: Reconcile<B>>(
    mut comparison: Comparison<'_, B, R>,
    epoch: &str,
    start: &Snapshot,
    mut progress: impl FnMut(Sequence, Sequence) + Send,
) -> Result<Reconciliation, ReconcileError> {
    let to = start.state.sequence;
    let first = comparison.period.from.and_then(Bound::sequence);
    let from = first.unwrap_or(start.begins() + 1).max(1);
    let mut walk = Walk::forward(comparison.source, None).with_attempts(ATTEMPTS);
    let mut later = HashSet::new();
    while let Some((document, before)) = next_until(&mut walk, epoch, to).await? {
        let first = Some(from.max(before + 1));
        let new = document
            .entries
            .iter()
            .filter(|entry| entry.sequence >= first);
        let (mut due, beyond): (Vec<&FoundEntry>, Vec<_>) =
            new.partition(|entry| entry.sequence <= Some(to));
        comparison.retain(&mut due);
        let taken = due
            .iter()
            .filter(|entry| entry.sequence > Some(start.begins()));
        let taken = taken.map(|entry| entry.id.clone()).collect();
        comparison.add(&document, &due, taken).await?;
        later.extend(beyond.iter().map(|entry| entry.subject().to_owned()));
        progress(walk.sequence().min(to), to);
    }
    let mut compared = comparison.compare().await?;
    if !compared.differences.is_empty() {
        let furthest = Snapshot::of(comparison.handle).await?.state.furthest;
        while let Some((document, _)) = next_until(&mut walk, epoch, furthest).await? {
            let entries = document.entries.iter();
            later.extend(entries.map(|entry| entry.subject().to_owned()));
        }
    }
    compared
        .differences
        .retain(|difference| !later.contains(&difference.id));
    let (from, to) = match comparison.period {
        Period {
            until: None,
            from: None | Some(Bound::Sequence(_)),
        } => (from, to),
        _ => comparison.seen.unwrap_or_default(),
    };
    Ok(comparison.result(from, to, compared))
}

/// Returns the next document with a new event, and the last event before it; `None` once `to` is
/// reached.
async fn next_until(
    walk: &mut Walk,
    epoch: &str,
    to: Sequence,
) -> Result<Option<(Document, Sequence)>, ReconcileError> {
    for _ in 0..ATTEMPTS {
        let at = walk.sequence();
        if at >= to {
            return Ok(None);
        }
        if walk.has_ended() {
            walk.continue_here();
        }
        let Some(document) = walk.next().await? else {
            continue;
        };
        let Some(end) = &document.cursor else {
            return Err(ReconcileError::NotSequenced(redact_url(document.address())));
        };
        if end.epoch.as_str() != epoch {
            return Err(ReconcileError::OtherEpoch {
                ours: epoch.to_owned(),
                found: end.epoch.to_string(),
            });
        }
        let last = end.sequence;
        let first = document.first().unwrap_or(last.saturating_add(1));
        if first > at + 1 || last < at {
            return Err(ReconcileError::Hole { at, first, last });
        }
        if last > at {
            return Ok(Some((document, at)));
        }
        // One instance of the feed may serve an event a second after another one.
        tokio::time::sleep(PAUSE).await;
    }
    Err(ReconcileError::TooShort {
        ends: walk.sequence(),
        taken: to,
    })
}

/// Reconciles with a feed without sequences, by the claims. No later event can cause a difference,
/// since such a feed only places orders.
async fn unnumbered<B: Backend, R: Reconcile<B>>(
    mut comparison: Comparison<'_, B, R>,
) -> Result<Reconciliation, ReconcileError> {
    let url = comparison.handle.feed_url().clone();
    let head = with_retries(ATTEMPTS, || comparison.source.document(url.clone())).await?;
    if head.cursor.is_some() {
        // The feed has sequences, and one partition has taken nothing: no event is settled, and
        // events of other partitions are not compared.
        return Ok(comparison.result(0, 0, Compared::default()));
    }
    let mut walk = Walk::back(comparison.source, head, LIMITS).with_attempts(ATTEMPTS);
    // The ids that were read: a second entry with the same id is an older version.
    let mut seen = HashSet::new();
    while let Some(document) = walk.next().await? {
        // Of two entries with one id in a document, the last one is newer.
        let entries = document.entries.iter().rev();
        let mut due: Vec<&FoundEntry> = entries
            .filter(|entry| seen.insert(entry.id.clone()))
            .collect();
        due.reverse();
        comparison.retain(&mut due);
        let ids: Vec<&str> = due.iter().map(|entry| entry.id.as_str()).collect();
        let Handle {
            database,
            subscription,
            ..
        } = comparison.handle;
        let taken = B::claimed(database.reader(), &subscription.name, &ids);
        // Read the claims first and the parked events later. In the other order, an event that is
        // parked in between would seem to have its effect.
        let taken = database.statement(taken).await?.into_iter().collect();
        comparison.add(&document, &due, taken).await?;
    }
    let compared = comparison.compare().await?;
    Ok(comparison.result(0, 0, compared))
}

impl From<WalkError> for ReconcileError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Fetch(error) => Self::Fetch(error),
            WalkError::NotSequenced(url) => Self::NotSequenced(redact_url(&url)),
            WalkError::Cycle(_) | WalkError::TooLong { .. } => Self::TooLong {
                documents: LIMITS.documents,
            },
        }
    }
}

/// The state of the subscription at some moment.
struct Snapshot {
    state: SubscriptionState,
    /// The newest executed decision that moved the cursor.
    executed: Option<i64>,
}

impl Snapshot {
    async fn of<B: Backend>(handle: &Handle<B>) -> sqlx::Result<Self> {
        let (pool, s) = (handle.database.reader(), &handle.subscription.name);
        let decisions = B::decisions(pool, s, DECISIONS);
        let executed = handle
            .database
            .statement(decisions)
            .await?
            .into_iter()
            .filter(|row| row.done_at.is_some() && row.decision.parse::<Decision>().is_ok())
            .map(|row| row.position)
            .max();
        let state = B::subscription_state(pool, s);
        Ok(Self {
            state: handle.database.statement(state).await?,
            executed,
        })
    }

    /// Events up to this sequence were never taken.
    fn begins(&self) -> Sequence {
        self.state.begins.unwrap_or(0)
    }

    /// Returns true if the cursor has moved otherwise than forward since then.
    fn was_moved(&self, since: &Self) -> bool {
        let (before, after) = (&self.state, &since.state);
        // Of partitions at the same sequence, one may not have the epoch yet.
        let epochs = before.epoch.as_ref().zip(after.epoch.as_ref());
        self.executed != since.executed
            || epochs.is_some_and(|(before, after)| before != after)
            || before.sequence > after.sequence
    }
}

/// What the events of the feed demand of the stored data, and what was found on the way.
struct Comparison<'a, B: Backend, R> {
    handle: &'a Handle<B>,
    source: &'a Source,
    period: Period,
    /// The subjects of the period's events, if it has an end: their later events count, too.
    subjects: Option<HashSet<String>>,
    /// The first and the last event of the period.
    seen: Option<(Sequence, Sequence)>,
    expected: R,
    events: u64,
    left_out: u64,
    unreadable: Vec<Difference>,
}

impl<'a, B: Backend, R: Reconcile<B>> Comparison<'a, B, R> {
    fn new(handle: &'a Handle<B>, source: &'a Source, period: Period) -> Self {
        Self {
            handle,
            source,
            period,
            subjects: period.until.map(|_| HashSet::new()),
            seen: None,
            expected: R::default(),
            events: 0,
            left_out: 0,
            unreadable: Vec::new(),
        }
    }

    /// Retains those that say something about the period: its events, and later ones of their subjects.
    fn retain(&mut self, due: &mut Vec<&FoundEntry>) {
        for entry in due.iter() {
            if !self.period.contains(entry.sequence, entry.published) {
                continue;
            }
            if let Some(sequence) = entry.sequence {
                let (first, last) = self.seen.unwrap_or((sequence, sequence));
                self.seen = Some((first.min(sequence), last.max(sequence)));
            }
            if let Some(subjects) = &mut self.subjects {
                subjects.insert(entry.subject().to_owned());
            }
        }
        due.retain(|entry| {
            let has_subject = |subjects: &HashSet<_>| subjects.contains(entry.subject());
            self.period.has_begun(entry.sequence, entry.published)
                && self.subjects.as_ref().is_none_or(has_subject)
        });
    }

    /// Adds the events of `due`. Those whose id is in `taken` are settled if they are neither
    /// parked nor skipped.
    async fn add(
        &mut self,
        document: &Document,
        due: &[&FoundEntry],
        mut taken: HashSet<String>,
    ) -> Result<(), ReconcileError> {
        let ids: Vec<&str> = due.iter().map(|entry| entry.id.as_str()).collect();
        let (database, s) = (&self.handle.database, &self.handle.subscription.name);
        let without = B::without_effect(database.reader(), s, &ids);
        for id in database.statement(without).await? {
            taken.remove(&id);
        }
        let mut due = due;
        while !due.is_empty() {
            let arrivals = with_retries(ATTEMPTS, || arrivals(self.source, document, due)).await?;
            due = &due[arrivals.len()..];
            for arrival in arrivals {
                let settled = taken.contains(&arrival.event.id);
                self.add_one(arrival, settled);
            }
        }
        Ok(())
    }

    fn add_one(&mut self, arrival: Arrival, settled: bool) {
        let event = &arrival.event;
        let read = self
            .expected
            .expect(event, settled && arrival.missing.is_none());
        let read = match arrival.missing {
            Some(missing) => Err(missing.reason),
            None => read,
        };
        match read {
            Err(reason) if settled => self.unreadable.push(Difference {
                id: event.subject.clone(),
                what: format!("{} cannot be read any more: {reason}", Cited::from(event)),
                kind: Kind::Different,
            }),
            _ if !self.period.contains(event.sequence, event.time) => {}
            _ if settled => self.events += 1,
            _ => self.left_out += 1,
        }
    }

    /// Compares the stored data with what was added.
    async fn compare(&mut self) -> sqlx::Result<Compared> {
        let expected = std::mem::take(&mut self.expected);
        let mut compared = expected.compare(&self.handle.database).await?;
        compared.differences.splice(0..0, self.unreadable.drain(..));
        if let Some(subjects) = &self.subjects {
            // Stored data may be of events that are not of the period.
            compared
                .differences
                .retain(|difference| subjects.contains(&difference.id));
        }
        Ok(compared)
    }

    /// Returns the result: what was `compared`, and the counts.
    fn result(&self, from: Sequence, to: Sequence, compared: Compared) -> Reconciliation {
        let Compared {
            mut differences,
            equal,
            sums,
        } = compared;
        let totals = Totals::of(equal, &differences, sums);
        let found = differences.len() as u64;
        differences.truncate(KEPT);
        Reconciliation {
            at: Utc::now(),
            from,
            to,
            since: self.period.from.and_then(Bound::time),
            until: self.period.until.and_then(Bound::time),
            events: self.events,
            left_out: self.left_out,
            totals,
            found,
            differences,
        }
    }
}
