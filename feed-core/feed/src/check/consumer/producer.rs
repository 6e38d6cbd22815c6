//! A producer to follow: a feed of our own on this machine, with a [`Gate`] before it.

use std::net::{Ipv4Addr, SocketAddr};

use feed_core::http::BaseUrl;
use feed_core::{CancellationToken, Database, EventId, Feed, FeedSettings, NewEvent, outbox};
use sqlx::Sqlite;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use super::gate::Gate;
use super::{Checked, Events};

/// So few that a dozen events have an archive.
const PAGE_SIZE: u32 = 5;

/// An event that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) number: u64,
    pub(super) id: EventId,
    pub(super) subject: String,
}

/// A feed and its history.
struct History {
    feed: Feed<Sqlite>,
    database: Database<Sqlite>,
    shutdown: CancellationToken,
    _directory: TempDir,
}

impl History {
    async fn new(base: BaseUrl) -> Checked<Self> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = format!("sqlite:{}", directory.path().join("feed.db").display());
        let opened = async {
            let database = Database::<Sqlite>::open(&*file).await?;
            let shutdown = CancellationToken::new();
            let settings = FeedSettings {
                page_size: PAGE_SIZE,
                ..FeedSettings::new(base, "feed check")
            };
            let feed = Feed::open(database.clone(), settings, shutdown.clone()).await?;
            tokio::spawn(feed.clone().run());
            Ok((feed, database, shutdown))
        };
        let (feed, database, shutdown) = opened
            .await
            .map_err(|error: feed_core::DatabaseError| format!("no feed in {file}: {error}"))?;
        Ok(Self {
            feed,
            database,
            shutdown,
            _directory: directory,
        })
    }
}

impl Drop for History {
    /// Ends what waits for it.
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A feed at an address of its own.
pub(super) struct Producer {
    pub(super) gate: Gate,
    pub(super) url: Url,
    base: BaseUrl,
    history: History,
    /// All events of this history, in sequence.
    pub(super) published: Vec<Published>,
}

impl Producer {
    pub(super) async fn start() -> Checked<Self> {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(local).await;
        let listener = listener.map_err(|error| format!("no address to listen on: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let base: BaseUrl = format!("http://{address}/")
            .parse()
            .map_err(|error| format!("{address}: {error}"))?;
        let history = History::new(base.clone()).await?;
        let gate = Gate::before(history.feed.router());
        let routes = gate.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self {
            gate,
            url: base.join("feed"),
            base,
            history,
            published: Vec::new(),
        })
    }

    /// Publishes so many events, two of each subject.
    pub(super) async fn publish(&mut self, events: &Events, count: usize) -> Checked<()> {
        for _ in 0..count {
            let number = events.next();
            self.append(events, number, &events.data_of(number)).await?;
        }
        Ok(())
    }

    /// Publishes an event with data that no consumer expects. Nothing of its subject follows.
    pub(super) async fn poison(&mut self, events: &Events) -> Checked<u64> {
        let mut number = events.next();
        // The second one of its subject.
        if number % 2 == 1 {
            self.append(events, number, &events.data_of(number)).await?;
            number = events.next();
        }
        self.append(events, number, &events.poison).await?;
        Ok(number)
    }

    async fn append(&mut self, events: &Events, number: u64, data: &str) -> Checked<()> {
        let subject = format!("order/{}", number.div_ceil(2));
        let event = NewEvent::new(events.event_type.clone(), subject.clone(), data.to_owned());
        let appended = async {
            let mut tx = self.history.database.begin().await?;
            let id = outbox::append(&mut tx, &event).await?;
            tx.commit().await?;
            Ok(id)
        };
        let id = appended
            .await
            .map_err(|error: sqlx::Error| format!("cannot publish an event: {error}"))?;
        events.ids().insert(id.to_string(), number);
        self.history.feed.committed();
        self.gate.published();
        self.published.push(Published {
            number,
            id,
            subject,
        });
        Ok(())
    }

    /// Serves another history at the same address from now on, as after a restore of another database.
    pub(super) async fn become_another(&mut self) -> Checked<()> {
        self.history = History::new(self.base.clone()).await?;
        self.published.clear();
        self.gate.replace(self.history.feed.router());
        Ok(())
    }
}
