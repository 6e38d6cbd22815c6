//! What a service brings along: what it does with an event, and how it says that it cannot.

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::Transaction;

use super::batch::Batch;
use super::received::Received;
use super::sanitize::without_value;
use crate::store::Backend;

/// The longest time for one call of an effect. Shorter than a session may be idle in a transaction
/// (`store/connect.rs`), so that it is the effect that ends and not the session.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(10);

/// What a service does with the events of another one.
///
/// # Limits
///
/// One call may take [ten seconds](Effect::time_limit). After that it is cut off where it next waits, its statement is
/// cancelled, and its event is retried later. On SQLite it keeps all other writers waiting for as long as it runs.
///
/// The transaction is the consumer's, and holds the claims of the events: an effect must not end it. `COMMIT` is
/// refused, and so is, on SQLite, every statement after a `ROLLBACK`; on PostgreSQL such a statement is committed at
/// once, and again when the event is retried. `SET CONSTRAINTS ALL IMMEDIATE` is refused as well: name the constraints.
/// Savepoints are fine.
///
/// On PostgreSQL a statement waits for locks three seconds at most, and then fails; `SET LOCAL lock_timeout` makes that
/// another time, for the transaction. The planner is as the role and the database have set it.
///
/// An effect returns the error of each statement that fails. After one that it hides, PostgreSQL cannot commit the
/// transaction, and the event counts as failed.
pub trait Effect<B: Backend>: Send + Sync + 'static {
    /// Applies `events`, in sequence, inside `tx`. Claims, effects and cursor commit together or
    /// not at all, so an effect stands once, however often it is tried (I5).
    ///
    /// Give the effect a second guard of its own, such as a unique order id.
    ///
    /// Each event is to have an effect, or to be [passed over](Batch::pass_over): those of a type that it does
    /// not know, or about something that is not here.
    ///
    /// # Errors
    ///
    /// A batch that fails is rolled back, and its events come again one by one; the [error](EffectError) of a
    /// single event decides what becomes of it. A panic parks it.
    fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// The longest time for one call of [`apply`](Effect::apply), with a batch or with one event. At most ten
    /// seconds, which is the default; more counts as ten.
    fn time_limit(&self) -> Duration {
        LONGEST_CALL
    }

    /// True for an event that says that the data of the earlier events of its subject is erased, as
    /// when a person is to be forgotten, and that holds what is left of it: its data takes the place
    /// of theirs where they are parked, and they are tried again with that.
    fn erases(&self, event: &Received) -> bool {
        let _ = event;
        false
    }
}

impl Received {
    /// Reads the data, which is JSON.
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
    /// It is not what `T` needs: the event is to be parked until somebody mends the cause.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, EffectError> {
        serde_json::from_str(&self.data).map_err(|error| {
            EffectError::Park(format!("cannot read the data: {}", without_value(&error)))
        })
    }
}

/// Why an event could not be applied, and so what is to become of it. Either way later events of
/// its subject wait for it, and all others go on (I7).
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// It may work in a while: it is tried again with growing pauses, and then left to a person.
    #[error("{0}")]
    Retry(String),
    /// It will not work until somebody mends the cause.
    #[error("{0}")]
    Park(String),
    /// A statement failed, or its answer could not be used. It is the event's failure, unless the database says
    /// that it is the cause:
    ///
    /// | the error | what becomes of the event |
    /// |---|---|
    /// | SQLSTATE classes 40, 53, 57 (but 57014, 53400), 25006, 58000, 58030; SQLite's `BUSY`, `LOCKED`, `FULL`, `IOERR`, `READONLY`, `CANTOPEN`, `CORRUPT`, `NOTADB`, `NOMEM`, `PERM`, `PROTOCOL`, `NOLFS` | The round stops, and the same events come again. After twelve rounds in a row: retried. |
    /// | I/O, TLS, protocol, pool, class 08 | The same if the transaction's connection does not answer; else: retried. |
    /// | no row, a foreign key, a statement or lock timeout, all else | Retried, as with [`Retry`](Self::Retry). |
    /// | a value or column that cannot be decoded; classes 0A, 21, 22, 23, 42; SQLite's `ERROR`, `CONSTRAINT`, `MISMATCH`, `TOOBIG`, `RANGE` | Parked until a person decides, as with [`Park`](Self::Park). |
    #[error("the database refused the effect")]
    Database(#[from] sqlx::Error),
}
