//! The read side: a feed that any HTTP client can follow.
//!
//! [`Feed`] is what a service holds: it knows how far the feed has got (`sequencer`),
//! which document holds which events (`page`), how they look on the wire (`atom`, `cloudevents`,
//! [`view`](View) for people), and answers requests for them (`http`).

mod address;
mod archive;
mod atom;
mod batches;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod body;
mod cloudevents;
mod document;
mod form;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod head;
mod history;
mod http;
mod measure;
mod page;
mod prefer;
mod presentation;
mod status;
mod view;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::cursor::{Cursor, Epoch};
use crate::database::timeout::STATEMENT;
use crate::database::{Database, Turns};
use crate::event::EventId;
use crate::http::BaseUrl;
use crate::sequencer::Sequencer;
use crate::store::publish::Head;
use crate::store::{Backend, DatabaseError};

use address::Addresses;
pub use archive::{ExportError, Exported};
use batches::Batches;
use head::HeadEntries;
pub use history::Happened;
use http::PageCache;
use presentation::Presentation;

pub use cloudevents::STRUCTURED;
pub use document::BATCH;
pub use http::READABLE;
pub use status::{Quarantined, Status};
pub use view::{PageWriter, View, ViewEntry};

/// How a feed presents itself, and how it is cut.
#[derive(Debug, Clone)]
pub struct FeedSettings {
    /// The public base URL of the service; the feed is at `feed` below it.
    pub base_url: BaseUrl,
    /// `atom:title`.
    pub title: String,
    /// The name in `atom:author`.
    pub author: String,
    /// Events of a page. Fixed when the feed is created; later values change nothing, since the
    /// pages that readers have seen stay as they are (I3).
    pub page_size: u32,
    /// What writes the feed's documents as pages for people. `None`: in a browser they are Atom as well.
    pub page: Option<PageWriter>,
}

impl FeedSettings {
    /// Events of a page unless told otherwise: a page of entries is some 80 KiB, and a batch of
    /// them fits one transaction of a consumer.
    pub const PAGE_SIZE: u32 = 100;

    /// A feed of that title, whose author is called the same, with pages of the usual size.
    #[must_use]
    pub fn new(base_url: BaseUrl, title: impl Into<String>) -> Self {
        let title = title.into();
        Self {
            base_url,
            author: title.clone(),
            title,
            page_size: Self::PAGE_SIZE,
            page: None,
        }
    }
}

/// A feed of events, and the outbox it is fed from.
#[derive(Debug)]
pub struct Feed<B: Backend> {
    inner: Arc<Inner<B>>,
}

impl<B: Backend> Clone for Feed<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

#[derive(Debug)]
struct Inner<B: Backend> {
    database: Database<B>,
    title: String,
    author: String,
    page: Option<PageWriter>,
    addresses: Addresses,
    /// The CloudEvents `source` of the events.
    source: String,
    presentation: Presentation,
    sequencer: Sequencer<B>,
    entries: HeadEntries,
    pages: PageCache,
    batches: Batches,
    turns: Turns,
    shutdown: CancellationToken,
}

impl<B: Backend> Feed<B> {
    /// Opens the feed in `database`, or creates it with a new epoch where there is none. The first
    /// base URL under which a feed is opened is stored as the CloudEvents `source` of its events, which
    /// later ones do not change.
    /// Readers that wait are let go when `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// The database is out of reach.
    pub async fn open(
        database: Database<B>,
        settings: FeedSettings,
        shutdown: CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let mut inner = Inner::load(database, settings, shutdown).await?;
        let (base, presentation) = (inner.addresses.base(), inner.presentation.number);
        let writer = inner.database.writer();
        inner
            .database
            .within(STATEMENT, B::present(writer, base.as_str(), presentation))
            .await?;
        if let Some(source) = inner.database.within(STATEMENT, B::source(writer)).await? {
            inner.source = source;
        }
        inner.sequencer.look().await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Opens the feed for a command that serves nobody, beside the instances that do. Stores nothing
    /// of `settings`: commands are often given without those of the service.
    ///
    /// # Errors
    ///
    /// The database is out of reach.
    pub async fn open_for_command(
        database: Database<B>,
        settings: FeedSettings,
    ) -> Result<Self, DatabaseError> {
        let inner = Inner::load(database, settings, CancellationToken::new()).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Says that a transaction with events has committed, so that they are published at once.
    /// Without it they are published within 250 ms.
    pub fn committed(&self) {
        self.inner.sequencer.committed();
    }

    /// Publishes what is committed until the feed's `shutdown`. Run it in a task of its own, on
    /// each instance: they take turns.
    pub async fn run(self) {
        self.inner.sequencer.run(self.inner.shutdown.clone()).await;
    }

    /// Publishes what is committed, once. [`Feed::run`] does it all the time.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn publish(&self) -> sqlx::Result<Cursor> {
        let look = self.inner.sequencer.number_all().await?;
        Ok(look.head.cursor())
    }

    /// The place of the newest event that this instance knows of. Costs no query.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.inner.sequencer.head().cursor()
    }

    /// The address of the feed for other services and for people.
    #[must_use]
    pub fn url(&self) -> Url {
        self.inner.addresses.head()
    }

    /// The routes of the feed, for a router with any state: `/feed` and what lies below it, and
    /// `/events/{id}`.
    ///
    /// Merge them into the router that is at [`FeedSettings::base_url`]. Where that router has such
    /// paths of its own, nest them and add the prefix to the base URL:
    /// `Router::new().nest("/orders", feed.router())` goes with `https://shop.example/orders/`.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        http::router(self.clone())
    }
}

impl<B: Backend> Inner<B> {
    async fn load(
        database: Database<B>,
        settings: FeedSettings,
        shutdown: CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let (id, epoch) = (EventId::new(), Epoch::random());
        let page_size = settings.page_size.max(1).into();
        let created = B::create_feed(database.writer(), id, &epoch, page_size);
        database.within(STATEMENT, created).await?;
        let sequencer = Sequencer::new(database.clone()).await?;
        let base = settings.base_url;
        let mut inner = Self {
            database,
            title: settings.title,
            author: settings.author,
            page: settings.page,
            source: base.url().as_str().to_owned(),
            addresses: Addresses::new(base),
            presentation: Presentation::default(),
            sequencer,
            entries: HeadEntries::default(),
            pages: PageCache::default(),
            batches: Batches::default(),
            turns: Turns::default(),
            shutdown,
        };
        inner.presentation = Presentation::of(&inner);
        Ok(inner)
    }

    /// True if this instance has the presentation that is stored in `head`: only then do the dates there
    /// hold for its documents.
    fn is_presented(&self, head: &Head) -> bool {
        head.presentation == Some(self.presentation.number)
    }
}
