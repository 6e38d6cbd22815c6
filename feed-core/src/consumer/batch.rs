//! The events of one call of an effect.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::slice::Iter;
use std::sync::{Mutex, PoisonError};

use super::received::Received;

/// Events to apply together, in sequence: a slice of [`Received`] on which the effect marks the
/// events that need nothing. A test can call an effect without a consumer:
///
/// ```
/// # use feed_core::consumer::{Batch, Effect, EffectError};
/// # use feed_core::{Database, Received};
/// # use sqlx::{Sqlite, Transaction};
/// struct Sales;
///
/// impl Effect<Sqlite> for Sales {
///     async fn apply(
///         &self,
///         tx: &mut Transaction<'_, Sqlite>,
///         events: &Batch<'_>,
///     ) -> Result<(), EffectError> {
///         for event in events {
///             match event.event_type.as_deref() {
///                 Some("order.placed") => { /* … */ }
///                 _ => events.pass_over(event, "nothing is sold by it"),
///             }
///         }
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let pool = sqlx::sqlite::SqlitePoolOptions::new().connect("sqlite::memory:").await.unwrap();
/// # let mut tx = pool.begin().await.unwrap();
/// let painted = Received {
///     id: "1".to_owned(),
///     event_type: Some("order.painted".to_owned()),
///     ..Received::default()
/// };
/// let events = [painted];
/// let batch = Batch::new(&events);
/// Sales.apply(&mut tx, &batch).await.unwrap();
/// assert_eq!(batch.passed_over(), [(&events[0], "nothing is sold by it".to_owned())]);
/// # });
/// ```
#[derive(Debug)]
pub struct Batch<'a> {
    events: &'a [Received],
    /// Why there is nothing to do, by the index of the event.
    passed_over: Mutex<BTreeMap<usize, String>>,
}

impl<'a> Batch<'a> {
    /// Creates a batch of these events, none of them passed over.
    #[must_use]
    pub fn new(events: &'a [Received]) -> Self {
        Self {
            events,
            passed_over: Mutex::default(),
        }
    }

    /// Marks `event` as one that needs nothing, with the reason: `an event of type order.painted,
    /// which is unknown here`. The reason is stored, so that each event has an effect or a record
    /// of why not (I5).
    ///
    /// # Panics
    ///
    /// Panics if this batch does not contain the event.
    pub fn pass_over(&self, event: &Received, reason: impl Into<String>) {
        let is_this = |one: &Received| std::ptr::eq(one, event);
        // The caller may pass a copy of the event.
        let index = (self.events.iter().position(is_this))
            .or_else(|| self.events.iter().position(|one| one.id == event.id));
        let Some(index) = index else {
            panic!("the event {} is not in the batch", event.id);
        };
        let mut passed_over = self
            .passed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passed_over.insert(index, reason.into());
    }

    /// Returns the reasons by the index of the event.
    pub(crate) fn into_reasons(self) -> BTreeMap<usize, String> {
        self.passed_over
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the events that were passed over, in sequence, with the reasons.
    #[must_use]
    pub fn passed_over(&self) -> Vec<(&'a Received, String)> {
        let passed_over = self
            .passed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let passed_over = passed_over.iter();
        passed_over
            .map(|(index, reason)| (&self.events[*index], reason.clone()))
            .collect()
    }
}

impl Deref for Batch<'_> {
    type Target = [Received];

    fn deref(&self) -> &[Received] {
        self.events
    }
}

impl<'b> IntoIterator for &'b Batch<'_> {
    type Item = &'b Received;
    type IntoIter = Iter<'b, Received>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}
