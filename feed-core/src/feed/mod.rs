//! The feed that HTTP clients read.
//!
//! A service holds a [`Feed`]. It knows the newest event (`sequencer`), which document contains
//! which events (`page`) and the forms on the wire (`atom`, `cloudevents`, [`view`](View) for
//! people), and serves requests (`http`).

mod address;
mod archive;
mod atom;
mod batch_documents;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod body;
mod cloudevents;
mod document;
mod documents;
mod form;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod history;
mod http;
mod measure;
mod page;
mod page_cache;
mod prefer;
mod presentation;
mod sizes;
mod snapshot;
mod status;
mod timestamp;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::cursor::{Cursor, Epoch};
use crate::database::{Database, MetricsQueries};
use crate::event::EventId;
use crate::http::BaseUrl;
use crate::sequencer::{Access, Sequencer};
use crate::store::publish::Head;
use crate::store::{Backend, DatabaseError};

use address::Addresses;
pub use archive::{ExportError, Exported};
use batch_documents::BatchDocuments;
use documents::Documents;
pub use history::{Happened, Published};
use page_cache::PageCache;
use presentation::Presentation;
use snapshot::Snapshots;

use cloudevents::Origin;
pub use cloudevents::STRUCTURED;
pub use document::BATCH;
pub use form::prefers_pages;
pub use http::READABLE;
use http::unread::Unread;
pub use status::{Quarantined, Status};
pub use view::{PageWriter, View, ViewEntry};

/// The feed's presentation and page size.
#[derive(Debug, Clone)]
pub struct FeedSettings {
    /// The public base URL of the service; the feed is at `feed` below it.
    pub base_url: BaseUrl,
    /// `atom:title`.
    pub title: String,
    /// `atom:subtitle`, what the events are about. It is in all documents but pages, whose bytes never
    /// change.
    pub subtitle: Option<String>,
    /// The name in `atom:author`.
    pub author: String,
    /// Events per page: 1 to [`LARGEST_PAGE`](Self::LARGEST_PAGE). Fixed when the feed is created; later
    /// values have no effect, since the pages that readers have seen must not change (I3).
    pub page_size: u32,
    /// The JSON Schema of the data of each event type, by type. They are served at `feed/schemas/TYPE`, and
    /// CloudEvents name them (`dataschema`).
    pub schemas: BTreeMap<String, Value>,
    /// Writes the feed's documents as pages for people. `None`: browsers get Atom as well.
    pub page: Option<PageWriter>,
}

impl FeedSettings {
    /// The default number of events per page: the entries of a page are some 80 KiB, and their
    /// batch document fits one transaction of a consumer.
    pub const PAGE_SIZE: u32 = 100;

    /// The most events per page. The head has up to one less than two pages, and a consumer takes 100,000
    /// elements and attributes in one document, of which an entry has some 18, and 16 MiB: 8 KiB for each entry of the
    /// largest head. Take fewer if titles and summaries are longer; [`PAGE_SIZE`](Self::PAGE_SIZE) is within the limits
    /// whatever the texts.
    pub const LARGEST_PAGE: u32 = 1_000;

    /// Creates settings with that title, the same author, and pages of the default size.
    #[must_use]
    pub fn new(base_url: BaseUrl, title: impl Into<String>) -> Self {
        let title = title.into();
        Self {
            base_url,
            author: title.clone(),
            title,
            subtitle: None,
            page_size: Self::PAGE_SIZE,
            schemas: BTreeMap::new(),
            page: None,
        }
    }
}

/// A feed of events, and its outbox.
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
    documents: Documents,
    presentation: Presentation,
    sequencer: Sequencer<B>,
    entries: Snapshots,
    pages: PageCache,
    batch_documents: BatchDocuments,
    metrics_queries: MetricsQueries,
    schemas: BTreeMap<String, Value>,
    shutdown: CancellationToken,
    access: Access,
    unread: Unread,
}

/// Returns the address of the schema of an event type, which CloudEvents name as `dataschema`.
#[must_use]
pub fn schema_address(base: &BaseUrl, event_type: &str) -> Url {
    let mut url = base.join("feed/schemas");
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(event_type);
    }
    url
}

impl<B: Backend> Feed<B> {
    /// Opens the feed in `database`, or creates it with a new epoch. The first base URL under which
    /// a feed is opened is stored as the CloudEvents `source` of its events, and later ones do not
    /// change it. Cancelling `shutdown` ends the waits of readers.
    ///
    /// [Run](Feed::run) it: on PostgreSQL, events that do not arrive one by one are published there alone.
    ///
    /// # Errors
    ///
    /// Returns an error if the database is unreachable, or if the feed is new and its
    /// [page size](FeedSettings::page_size) out of bounds.
    pub async fn open(
        database: Database<B>,
        settings: FeedSettings,
        shutdown: CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let mut inner = Inner::load(database, settings, shutdown, Access::Write).await?;
        let (base, presentation) = (inner.documents.addresses.base(), inner.presentation.number);
        let presented = B::present(inner.database.writing(), base.as_str(), presentation);
        inner.database.statement(presented).await?;
        let source = B::source(inner.database.writer());
        if let Some(source) = inner.database.statement(source).await? {
            inner.documents.origin.source = source;
        }
        inner.sequencer.refresh().await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Opens the feed for a command that serves no requests, beside the instances that do. Stores
    /// nothing of `settings`: commands often run without those of the service.
    ///
    /// # Errors
    ///
    /// Returns an error if the database is unreachable.
    pub async fn open_for_command(
        database: Database<B>,
        settings: FeedSettings,
    ) -> Result<Self, DatabaseError> {
        let shutdown = CancellationToken::new();
        let inner = Inner::load(database, settings, shutdown, Access::Write).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Opens the feed on a server that cannot be written to, such as a hot standby of PostgreSQL, whose database
    /// was opened [for reading](crate::DatabaseOptions::read_only). It numbers nothing, and looks
    /// for new events four times a second. A reader who has seen more than the server has gets a `503`, and asks
    /// again.
    ///
    /// # Errors
    ///
    /// Returns an error if the database is unreachable, or has no feed.
    pub async fn open_read_only(
        database: Database<B>,
        settings: FeedSettings,
        shutdown: CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let mut inner = Inner::load(database, settings, shutdown, Access::Read).await?;
        let source = B::source(inner.database.reader());
        if let Some(source) = inner.database.statement(source).await? {
            inner.documents.origin.source = source;
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Reports that a transaction with events has committed, so that they are published at once.
    /// Without this call they are published within 250 ms.
    pub fn committed(&self) {
        self.inner.sequencer.committed();
    }

    /// Publishes committed events until the feed's `shutdown`. Run it in a task of its own, on each
    /// instance: a lock lets one number at a time.
    pub async fn run(self) {
        self.inner.sequencer.run(self.inner.shutdown.clone()).await;
    }

    /// Publishes what requests in flight have committed after [`Feed::run`] has ended, so that no event waits for another
    /// instance: call it after the last request, before the database is closed. It waits a second at most for a locked head,
    /// and logs what it cannot do.
    pub async fn finish(self) {
        self.inner.sequencer.finish().await;
    }

    /// Publishes committed events once. [`Feed::run`] does so continually.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn publish(&self) -> sqlx::Result<Cursor> {
        let read = self.inner.sequencer.number_all(Duration::MAX).await?;
        Ok(read.head.cursor())
    }

    /// Returns the cursor at the newest event that this instance knows. Costs no query.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.inner.sequencer.head().cursor()
    }

    /// Returns the address of the feed for other services and for people.
    #[must_use]
    pub fn url(&self) -> Url {
        self.inner.documents.addresses.head()
    }
}

/// A feed that was created before there was a limit keeps its pages.
fn warn_of_large_pages(page_size: i64) {
    let most = FeedSettings::LARGEST_PAGE;
    if page_size > most.into() {
        tracing::warn!(
            "the feed was created with {page_size} events per page, which cannot change; a new consumer may be unable \
             to read it: publish to a feed in a new database, with at most {most} events per page"
        );
    }
}

impl<B: Backend> Inner<B> {
    async fn load(
        database: Database<B>,
        settings: FeedSettings,
        shutdown: CancellationToken,
        access: Access,
    ) -> Result<Self, DatabaseError> {
        let page_size = settings.page_size;
        let may_create = (1..=FeedSettings::LARGEST_PAGE).contains(&page_size);
        if access == Access::Write && may_create {
            let (id, epoch) = (EventId::new(), Epoch::random());
            let created = B::create_feed(database.writing(), id, &epoch, page_size.into());
            database.statement(created).await?;
        }
        let sequencer = match Sequencer::new(database.clone(), access).await {
            Err(sqlx::Error::RowNotFound) if access == Access::Write && !may_create => {
                return Err(DatabaseError::PageSize(
                    page_size,
                    FeedSettings::LARGEST_PAGE,
                ));
            }
            opened => opened?,
        };
        warn_of_large_pages(sequencer.head().page_size);
        let types = settings.schemas.keys();
        let origin = Origin {
            source: settings.base_url.url().as_str().to_owned(),
            schemas: types
                .map(|name| (name.clone(), schema_address(&settings.base_url, name)))
                .collect(),
        };
        let documents = Documents {
            origin,
            title: settings.title,
            subtitle: settings.subtitle,
            author: settings.author,
            page: settings.page,
            addresses: Addresses::new(settings.base_url),
        };
        Ok(Self {
            database,
            presentation: Presentation::of(&documents),
            documents,
            sequencer,
            entries: Snapshots::default(),
            pages: PageCache::default(),
            batch_documents: BatchDocuments::default(),
            metrics_queries: MetricsQueries::default(),
            unread: Unread::default(),
            schemas: settings.schemas,
            shutdown,
            access,
        })
    }

    /// Returns true if this instance has the presentation that `head` stores: only then are the
    /// dates there valid for its documents.
    fn is_presented(&self, head: &Head) -> bool {
        head.presentation == Some(self.presentation.number)
    }
}
