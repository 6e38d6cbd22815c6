//! A replay in a database: what it forgets, and what it must not forget.

use sqlx::{Pool, Transaction};

use super::answer::Answer;
use crate::event::Sequence;

/// Where a portion of events ends, by sequence and id: for some the order is that of both, for others that of the ids alone.
pub(crate) type Place = (Option<Sequence>, String);

/// The statements of a replay. `s` is the subscription's name.
pub(crate) trait Replay: sqlx::Database {
    /// Returns the parked events after a sequence and an id, by both.
    fn parked_after(
        pool: &Pool<Self>,
        s: &str,
        sequence: Sequence,
        id: &str,
        limit: i64,
    ) -> impl Answer<Vec<(Sequence, String)>>;

    /// Lets the subscription begin before the event `first`, if it begins later.
    fn begin_before(tx: &mut Transaction<'_, Self>, s: &str, first: Sequence) -> impl Answer<()>;

    /// Leaves parked events to the operator, for `reason` if they only waited, and takes their sequences from them: the feed
    /// does not have them.
    fn keep_parked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        ids: &[&str],
        reason: &str,
    ) -> impl Answer<()>;

    /// Returns the next events after `after` of those that are claimed, parked or passed over, and that no operator has skipped: by
    /// sequence, or all by id if `from` is 1. Parked events without a sequence are not among them.
    fn repeated(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        from: Sequence,
        after: &Place,
        limit: i64,
    ) -> impl Answer<Vec<Place>>;

    /// Drops the claims of events, and what is parked or passed over of them, so that they are applied again.
    fn forget(tx: &mut Transaction<'_, Self>, s: &str, ids: &[&str]) -> impl Answer<()>;

    /// Returns the claim of the oldest event after the sequence `after`, up to `last`: sequence and id.
    fn oldest_claim(
        pool: &Pool<Self>,
        s: &str,
        after: Sequence,
        last: Sequence,
    ) -> impl Answer<Option<(Sequence, String)>>;

    /// Returns the next events after `after` that a decision must not repeat: sequence, id and subject. These are the parked and
    /// skipped ones, by id; for a replay those that an operator has skipped, by sequence, or all by id if it begins at 1.
    fn decided(
        pool: &Pool<Self>,
        s: &str,
        replay: Option<Sequence>,
        after: &Place,
        limit: i64,
    ) -> impl Answer<Vec<(Option<Sequence>, String, String)>>;
}
