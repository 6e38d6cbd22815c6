//! A consumer that is run round by round and inspected.

use std::fmt::Write;
use std::time::Duration;

use feed_core::consumer::{FeedCredentials, Handle, ParkedEvent, Polled, Status};
use feed_core::{Consumer, Database, Subscription};
use harness::fake::{Atom, Entry, Fake, Numbered, Reply};
use harness::{DEADLINE, until};
use tokio_util::sync::CancellationToken;

use crate::recorder::Recorder;
pub(crate) use crate::recorder::Recording;

/// Rounds after which a consumer must be up to date.
const ROUNDS: usize = 100;

static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The pause of a consumer for which nothing else sets one.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// A consumer and what it has done.
#[derive(Debug)]
pub(crate) struct Reader<B: Recording> {
    consumer: Consumer<B, Recorder>,
    seen: Seen<B>,
}

/// What a consumer has done, also while it runs.
#[derive(Debug)]
pub(crate) struct Seen<B: Recording> {
    database: Database<B>,
    handle: Handle<B>,
    subscription: String,
}

impl<B: Recording> Reader<B> {
    /// The only subscription of a test.
    pub(crate) async fn open(database: &str, feed: &str) -> Self {
        Self::of("order", database, feed).await
    }

    /// One of many subscriptions in one database.
    pub(crate) async fn of(name: &str, database: &str, feed: &str) -> Self {
        Self::with(name, "one", INTERVAL, database, feed).await
    }

    /// One of many instances of a subscription, and its pause.
    pub(crate) async fn with(
        name: &str,
        instance: &str,
        poll_interval: Duration,
        database: &str,
        feed: &str,
    ) -> Self {
        let subscription = Subscription {
            poll_interval,
            instance: instance.to_owned(),
            ..Subscription::new(name, feed.parse().unwrap())
        };
        Self::subscribed(database, subscription).await
    }

    /// The only subscription of a test, which sends these credentials.
    pub(crate) async fn showing(database: &str, feed: &str, shown: FeedCredentials) -> Self {
        let subscription = Subscription {
            poll_interval: INTERVAL,
            credentials: Some(shown),
            ..Subscription::new("order", feed.parse().unwrap())
        };
        Self::subscribed(database, subscription).await
    }

    /// With settings of its own.
    pub(crate) async fn subscribed(database: &str, subscription: Subscription) -> Self {
        let database = Database::open(database).await.unwrap();
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS effect (position {}, subscription TEXT, instance TEXT, \
             event_id TEXT, subject TEXT, data TEXT, trace TEXT)",
            B::COUNTER
        );
        {
            // PostgreSQL fails where two do it at the same time.
            let _alone = ALONE.lock().await;
            B::run(&database, &sql).await;
        }
        let name = subscription.name.clone();
        let recorder = Recorder {
            subscription: name.clone(),
            instance: subscription.instance.clone(),
        };
        let stop = CancellationToken::new();
        let consumer = Consumer::open(database.clone(), subscription, recorder, stop).await;
        let consumer = consumer.unwrap();
        let seen = Seen {
            database,
            handle: consumer.handle(),
            subscription: name,
        };
        Self { consumer, seen }
    }

    /// The same subscription after a restart, without waiting for its leases to end.
    pub(crate) async fn again(self, database: &str, feed: &str) -> Self {
        let Self { seen, .. } = self;
        let name = &seen.subscription;
        for gone in [
            format!("UPDATE feed_partition SET lease_owner = NULL WHERE subscription = '{name}'"),
            format!("DELETE FROM feed_instance WHERE subscription = '{name}'"),
        ] {
            B::run(&seen.database, &gone).await;
        }
        Self::of(name, database, feed).await
    }

    /// One round, which must end; the text of its error has all causes.
    pub(crate) async fn poll(&mut self) -> Result<Polled, String> {
        loop {
            let round = tokio::time::timeout(DEADLINE, self.consumer.poll_once()).await;
            match round.expect("a round ends within its bounds") {
                // The leases were renewed meanwhile.
                Ok(Polled::Interrupted) => {}
                Ok(polled) => return Ok(polled),
                Err(error) => return Err(chain(&error)),
            }
        }
    }

    /// A round that fails; returns why.
    pub(crate) async fn fails(&mut self) -> String {
        match self.poll().await {
            Err(error) => error,
            Ok(polled) => panic!("no error, but {polled:?}; effects: {:?}", self.ids().await),
        }
    }

    /// Rounds until there is nothing new.
    pub(crate) async fn drain(&mut self) {
        for _ in 0..ROUNDS {
            match self.poll().await {
                Ok(Polled::Applied(_)) => {}
                Ok(Polled::UpToDate { .. }) => return,
                other => panic!("{other:?}"),
            }
        }
        panic!("there is something new in each of {ROUNDS} rounds");
    }

    /// Rounds until there is nothing new; then there is one effect for each of `ids`, in that
    /// order, and nothing is wrong.
    pub(crate) async fn takes(&mut self, ids: &[String]) {
        self.drain().await;
        assert_eq!(self.ids().await, ids);
        let status = self.status().await;
        assert_eq!((status.parked, status.waiting), (0, 0), "{status:?}");
        assert_eq!(status.halted, None);
    }

    /// What the status pages read, also during a round.
    pub(crate) fn handle(&self) -> Handle<B> {
        self.consumer.handle()
    }

    /// Polls in a task of its own.
    pub(crate) fn run(self) -> Seen<B> {
        tokio::spawn(self.consumer.run());
        self.seen
    }
}

impl<B: Recording> std::ops::Deref for Reader<B> {
    type Target = Seen<B>;

    fn deref(&self) -> &Seen<B> {
        &self.seen
    }
}

impl<B: Recording> Seen<B> {
    async fn column(&self, name: &str) -> Vec<String> {
        let sql = format!(
            "SELECT {name} FROM effect WHERE subscription = '{}' ORDER BY position",
            self.subscription
        );
        B::texts(&self.database, &sql).await
    }

    /// The ids of the effects, in the order in which they were committed.
    pub(crate) async fn ids(&self) -> Vec<String> {
        self.column("event_id").await
    }

    /// The data of the effects, in that order.
    pub(crate) async fn data(&self) -> Vec<String> {
        self.column("data").await
    }

    /// The trace contexts, in the order of the effects; empty where there is none.
    pub(crate) async fn traces(&self) -> Vec<String> {
        self.column("trace").await
    }

    /// Which instance each effect was committed by.
    pub(crate) async fn instances(&self) -> Vec<String> {
        self.column("instance").await
    }

    /// Asks for a poll at once.
    pub(crate) fn poll_now(&self) {
        self.handle.poll_now();
    }

    /// The state of the subscription.
    pub(crate) async fn status(&self) -> Status {
        self.handle.status().await.unwrap()
    }

    /// The parked events.
    pub(crate) async fn parked(&self) -> Vec<ParkedEvent> {
        self.handle.parked(100).await.unwrap()
    }

    /// Queries the database, which has the same tables on both.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        B::number(&self.database, sql).await
    }

    /// Waits until there are that many effects.
    pub(crate) async fn has(&self, count: usize) {
        until(&format!("{count} effects"), async || {
            (self.ids().await.len() >= count).then_some(())
        })
        .await;
    }

    /// Waits until a round has failed; returns why.
    pub(crate) async fn error(&self) -> String {
        until("an error is reported", async || {
            self.status().await.last_error
        })
        .await
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").unwrap();
        source = cause.source();
    }
    text
}

/// The ids of foreign entries.
pub(crate) fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    let numbers = numbers.into_iter();
    numbers.map(|number| Entry::foreign(number).id).collect()
}

/// A feed of one document at `/feed`.
pub(crate) async fn serving(document: &Atom) -> Fake {
    let fake = Fake::start().await;
    fake.at("/feed", Reply::feed(document.xml()));
    fake
}

/// A correct feed in our format.
pub(crate) async fn numbered(newest: i64) -> Fake {
    let fake = Fake::start().await;
    Numbered::new(newest).serve(&fake);
    fake
}

/// Fails unless `text` has one of `words` in it.
pub(crate) fn assert_says(text: &str, words: &[&str]) {
    let lower = text.to_lowercase();
    let said = words.iter().any(|word| lower.contains(word));
    assert!(said, "nothing of {words:?} in: {text}");
}

/// A file with a credential, and the `FeedCredentials` that read it.
pub(crate) fn credentials(text: &str) -> (tempfile::TempDir, FeedCredentials) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    std::fs::write(&file, text).unwrap();
    let shown = FeedCredentials::from_file(file).unwrap();
    (directory, shown)
}
