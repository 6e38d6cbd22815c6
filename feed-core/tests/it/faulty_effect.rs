//! An effect that goes wrong in a chosen way at the events of one subject, and a consumer that
//! applies it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use feed_core::consumer::ParkedEvent;
use feed_core::{Batch, Consumer, Database, Effect, EffectError, EventId, Received, Subscription};
use sqlx::{Sqlite, Transaction};
use tokio_util::sync::CancellationToken;

use crate::consumer::{drain, forget_all, served};
use crate::support::{Publisher, Testable, consumer_database, create_effect_table, effects, urns};

/// The subject at whose events the effect goes wrong.
pub(crate) const SUBJECT: &str = "order/3";

/// What goes wrong, after the effect has written its row. SQL is PostgreSQL's and SQLite's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mistake {
    /// Reads one number with this.
    Read([&'static str; 2]),
    /// Runs this.
    Run([&'static str; 2]),
    /// Runs this, and takes no notice of an error.
    Ignore([&'static str; 2]),
    /// Fails with this.
    Fail(fn() -> sqlx::Error),
    /// Says that something is out of reach.
    Later,
    /// Waits.
    Sleep(Duration),
    /// Keeps its thread from all else, then runs this.
    Block(Duration, [&'static str; 2]),
}

/// A short time limit, and long enough for a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);

/// An effect of one row for each event.
#[derive(Debug, Clone)]
pub(crate) struct FaultyEffect {
    pub(crate) mistake: Arc<Mutex<Option<Mistake>>>,
    /// How often it goes wrong.
    pub(crate) times: Arc<Mutex<usize>>,
    pub(crate) limit: Duration,
    /// How long each event takes.
    pub(crate) pace: Duration,
    /// Passes over the event at which it goes wrong.
    pub(crate) passes_over: bool,
    /// It panics when it is asked what an event erases.
    pub(crate) panics: bool,
}

impl FaultyEffect {
    pub(crate) fn making(mistake: Mistake) -> Self {
        Self {
            mistake: Arc::new(Mutex::new(Some(mistake))),
            times: Arc::new(Mutex::new(usize::MAX)),
            limit: LIMIT * 5,
            pace: Duration::ZERO,
            passes_over: false,
            panics: false,
        }
    }

    pub(crate) fn times(self, times: usize) -> Self {
        *self.times.lock().unwrap() = times;
        self
    }

    pub(crate) fn repair(&self) {
        *self.mistake.lock().unwrap() = None;
    }

    fn next(&self) -> Option<Mistake> {
        let mut times = self.times.lock().unwrap();
        *times = times.checked_sub(1)?;
        *self.mistake.lock().unwrap()
    }

    async fn make<B: Testable>(
        mistake: Mistake,
        tx: &mut Transaction<'_, B>,
    ) -> Result<(), EffectError> {
        match mistake {
            Mistake::Read(sql) => B::number_in(tx, sql[B::DIALECT]).await.map(drop)?,
            Mistake::Run(sql) => B::execute(tx, sql[B::DIALECT]).await?,
            Mistake::Ignore(sql) => drop(B::execute(tx, sql[B::DIALECT]).await),
            Mistake::Fail(error) => return Err(error().into()),
            Mistake::Later => {
                let reason = "nobody answers".to_owned();
                return Err(EffectError::Later {
                    reason,
                    after: None,
                });
            }
            Mistake::Sleep(pause) => tokio::time::sleep(pause).await,
            Mistake::Block(pause, sql) => {
                block(pause);
                B::execute(tx, sql[B::DIALECT]).await?;
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an effect that does what it must not"
)]
fn block(pause: Duration) {
    std::thread::sleep(pause);
}

impl<B: Testable> Effect<B> for FaultyEffect {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            B::insert_effect(tx, event).await?;
            tokio::time::sleep(self.pace).await;
            if event.subject == SUBJECT
                && let Some(mistake) = self.next()
            {
                Self::make(mistake, tx).await?;
                if self.passes_over {
                    events.pass_over(event, "nothing to do");
                }
            }
        }
        Ok(())
    }

    fn time_limit(&self) -> Duration {
        self.limit
    }

    fn erases(&self, event: &Received) -> bool {
        assert!(!(self.panics && event.subject == SUBJECT), "a mistake");
        false
    }
}

/// A consumer of some events: thirty of ten subjects, unless it is said otherwise.
pub(crate) struct Scene<B: Testable> {
    _source: harness::FreshDatabase,
    pub(crate) publisher: Publisher<Sqlite>,
    pub(crate) ids: Vec<EventId>,
    pub(crate) database: Database<B>,
    pub(crate) effect: FaultyEffect,
    pub(crate) consumer: Consumer<B, FaultyEffect>,
}

impl<B: Testable> Scene<B> {
    pub(crate) async fn of(url: &str, effect: FaultyEffect) -> Self {
        let subjects: Vec<String> = (0..30).map(|n| format!("order/{}", n % 10)).collect();
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        Self::with(url, effect, &subjects).await
    }

    pub(crate) async fn with(url: &str, effect: FaultyEffect, subjects: &[&str]) -> Self {
        Self::on(consumer_database::<B>(url).await, effect, subjects).await
    }

    pub(crate) async fn on(database: Database<B>, effect: FaultyEffect, subjects: &[&str]) -> Self {
        create_effect_table(&database).await;
        let (source, publisher, feed) = served().await;
        let mut ids = Vec::new();
        for subject in subjects {
            ids.push(publisher.commit(subject).await);
        }
        publisher.feed.publish().await.unwrap();
        forget_all(&database).await;
        let subscription = Subscription::new("order", feed.parse().unwrap());
        let stop = CancellationToken::new();
        let consumer = Consumer::open(database.clone(), subscription, effect.clone(), stop).await;
        Self {
            _source: source,
            publisher,
            ids,
            database,
            effect,
            consumer: consumer.unwrap(),
        }
    }

    pub(crate) async fn drain(&mut self) {
        drain(&mut self.consumer, &self.publisher).await;
    }

    /// The ids of the events, without those of [`SUBJECT`].
    fn others(&self) -> Vec<String> {
        let others = self.ids.iter().enumerate().filter(|(n, _)| n % 10 != 3);
        urns(&others.map(|(_, id)| *id).collect::<Vec<_>>())
    }

    pub(crate) async fn parked(&self) -> Vec<ParkedEvent> {
        self.consumer.handle().parked(100).await.unwrap()
    }

    /// All other events are applied, and the first of [`SUBJECT`] is parked; returns it.
    pub(crate) async fn only_its_event_is_parked(&self) -> ParkedEvent {
        assert_eq!(
            effects(&self.database).await,
            self.others(),
            "{:?}",
            self.effect.mistake
        );
        let mut parked = self.parked().await;
        assert_eq!(parked.len(), 3, "{parked:?}");
        let first = parked.remove(0);
        assert_eq!(first.id, self.ids[3].urn());
        assert!(parked.iter().all(|waits| waits.reason.is_none()));
        first
    }

    /// After the mistake is corrected, an operator's retry applies each event once.
    pub(crate) async fn applied_after_a_retry(mut self) {
        self.effect.repair();
        let tried = self
            .consumer
            .handle()
            .retry_selected(&feed_core::consumer::Selection::default(), "me")
            .await
            .unwrap();
        assert_eq!(tried, 1);
        self.publisher.publish(1).await;
        self.drain().await;
        let of_subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
        let expected = urns(&[self.ids[3], self.ids[13], self.ids[23]]);
        assert_eq!(B::texts(&self.database, of_subject).await, expected);
        assert_eq!(effects(&self.database).await.len(), 31);
        assert_eq!(self.parked().await.len(), 0);
    }
}
