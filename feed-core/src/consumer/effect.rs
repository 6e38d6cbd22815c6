//! The service's part of a consumer: the effect of an event, and its errors.

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::Transaction;

use super::batch::Batch;
use super::received::Received;
use super::sanitize::without_value;
use crate::store::Backend;

/// The timeout of one call of an effect. It is shorter than the time for which a session may be
/// idle in a transaction (`store/postgres/session.rs`), so that the effect ends first.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(10);

/// The longest pause that a host can ask for: a year. A sum with the time of day then does not overflow.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a service does with the events of another service.
///
/// # Limits
///
/// One call may take [ten seconds](Effect::time_limit). After that it is cancelled at its next
/// `await`, its statement is cancelled, and its event is retried later. On SQLite it blocks all
/// other writers while it runs: they fail after five seconds (`pool timed out`). So does an effect that
/// takes another connection of the database than `tx`, since it waits for itself.
///
/// The consumer owns the transaction, which contains the claims of the events: an effect must not
/// end it. `COMMIT` is rejected and so is, on SQLite, every statement after a `ROLLBACK`; on
/// PostgreSQL such a statement is committed at once, and again when the event is retried. `SET
/// CONSTRAINTS ALL IMMEDIATE` is rejected as well: name the constraints. Savepoints are allowed.
///
/// On PostgreSQL the consumer writes to its tables in the same transaction after the effect, which must leave the role and
/// the `search_path` as they were: after `SET ROLE`, `SET LOCAL ROLE` or another `search_path`, each event would fail,
/// and be parked. Restore them (`RESET ROLE`), or write the schema before the names of tables.
///
/// On PostgreSQL a statement waits for locks three seconds at most, and then fails; `SET LOCAL lock_timeout` makes that
/// another time, for the transaction. The planner is as the role and the database have set it.
///
/// An effect returns the error of each statement that fails. After one that it hides, PostgreSQL cannot commit the
/// transaction, and the event counts as failed.
pub trait Effect<B: Backend>: Send + Sync + 'static {
    /// Applies `events`, in sequence, inside `tx`: up to a hundred at first, and up to a thousand of
    /// a backlog while their transaction takes less than some 200 ms. Claims, effects and cursor commit together or
    /// not at all, so an effect is committed once, however often it is tried (I5).
    ///
    /// Protect the effect by a unique key of its own as well, such as the order id.
    ///
    /// Each event must have an effect or be [passed over](Batch::pass_over): pass over events of an
    /// unknown type, or about something that is not stored here.
    ///
    /// # Errors
    ///
    /// A batch that fails is rolled back, and its events are applied in smaller batches, then one by
    /// one. The
    /// [error](EffectError) of a single event decides whether it is retried or parked. A panic
    /// parks it.
    fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// The timeout of one call of [`apply`](Effect::apply), with a batch or with one event. The
    /// default and the maximum are ten seconds.
    fn time_limit(&self) -> Duration {
        LONGEST_CALL
    }

    /// The most events of one call; by default as many as are quick. One, for an effect that a rollback does not undo,
    /// such as a request to another server: what was done for the events before is then not repeated.
    fn most_events(&self) -> usize {
        usize::MAX
    }

    /// Returns true for an event that erases the data of the earlier events of its subject, such as
    /// a request to forget a person. Its own data replaces the data of those that are parked, and
    /// they are retried with it. One whose effect then fails for good is passed over, since this event waits for it. Decide
    /// by type and subject: the data is empty if it could not be read.
    fn erases(&self, event: &Received) -> bool {
        let _ = event;
        false
    }
}

impl Received {
    /// Parses the data as JSON.
    ///
    /// ```
    /// # use feed_core::{EffectError, Received};
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     id: i64,
    /// }
    ///
    /// fn order_of(event: &Received) -> Result<i64, EffectError> {
    ///     Ok(event.json::<Order>()?.id)
    /// }
    /// # let (data, time) = ("{}".to_owned(), chrono::Utc::now());
    /// # let event = Received { id: "17".into(), event_type: None, subject: "17".into(),
    /// #     sequence: None, time, data, traceparent: None };
    /// # assert!(matches!(order_of(&event), Err(EffectError::Park(_))));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if `T` does not fit: the event is then parked until an operator has fixed
    /// the cause.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, EffectError> {
        serde_json::from_str(&self.data).map_err(|error| {
            EffectError::Park(format!("cannot read the data: {}", without_value(&error)))
        })
    }
}

/// Why an event could not be applied. In each case later events of its subject wait for it, and all
/// others continue (I7).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EffectError {
    /// A retry may succeed: the event is retried with growing pauses, and then waits for the
    /// operator.
    #[error("{0}")]
    Retry(String),
    /// A retry fails too, until an operator has fixed the cause.
    #[error("{0}")]
    Park(String),
    /// Something that each event needs is out of reach, such as a server that the effect calls: no event is the cause,
    /// and none is parked. The round stops, and the same events come again after a pause. After
    /// [that many rounds](Self::MOST_ROUNDS) in a row, some minutes, the first of them may be the cause after all: it is
    /// parked, so that the others continue if they can, and retried until it succeeds.
    #[error("{reason}")]
    Later {
        /// What is out of reach.
        reason: String,
        /// The least pause, if one is known, as from `Retry-After`; a year at most.
        after: Option<Duration>,
    },
    /// A statement failed, or its result could not be used. The event counts as the cause, unless
    /// the database reports that it is the cause:
    ///
    /// | the error | what happens to the event |
    /// |---|---|
    /// | SQLSTATE classes 40, 53, 57 (but 57014, 53400), 25006, 58000, 58030; SQLite's `BUSY`, `LOCKED`, `FULL`, `IOERR`, `READONLY`, `CANTOPEN`, `CORRUPT`, `NOTADB`, `NOMEM`, `PERM`, `PROTOCOL`, `NOLFS` | The round stops, and the same events come again. After [that many rounds](Self::MOST_ROUNDS) in a row, and where the event was parked before: retried. |
    /// | I/O, TLS, protocol, pool, class 08 | The same if the transaction's connection does not answer; else: retried. |
    /// | no row, a foreign key, a statement or lock timeout, all else | Retried, as with [`Retry`](Self::Retry). |
    /// | a value or column that cannot be decoded; classes 21, 22, 23, 42; SQLite's `ERROR`, `CONSTRAINT`, `MISMATCH`, `TOOBIG`, `RANGE` | Parked until an operator decides, as with [`Park`](Self::Park). |
    #[error("the database refused the effect")]
    Database(#[from] sqlx::Error),
}

impl EffectError {
    /// Rounds in which the database may fail at the same event, or what an effect needs be out of reach, at most. After
    /// that the event counts as the cause. If the database fails, a batch is suspected after half of them, and applied
    /// one by one.
    pub const MOST_ROUNDS: u32 = 12;
}
