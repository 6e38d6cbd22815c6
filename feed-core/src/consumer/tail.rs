//! Follows a feed without a database, for programs that keep the cursor themselves.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::progress::position::{
    InvalidPosition, cursor_at, discontinuity, position_after, position_at,
};
use super::progress::trust::Trust;
use super::received::Received;
use super::sanitize::printable;
use super::source::backlog::Backlog;
use super::source::content::{Arrival, arrivals};
use super::source::document::Document;
use super::source::entry::FoundEntry;
use super::source::fetch::{NewHead, Source, Validators};
use super::source::fetch_error::FetchError;
use super::source::redact::redact_url;
use super::source::walk::{Limits, Walk, WalkError};
use super::source::window::{Search, Window, ids_of};
use super::{PollError, Subscription};
use crate::cursor::Cursor;
use crate::store::consume::Position;

/// The limits of a walk back through a feed without sequences (I11).
const LIMITS: Limits = Limits {
    documents: 1_000,
    bytes: 64 * 1024 * 1024,
};

/// The entries of a feed without sequences that are not returned again, or those of the last walk if these are more. An
/// entry may leave the feed for a moment, and come back.
const KNOWN: usize = 10_000;

/// What messages call the setting with the feed's address.
const SETTING: &str = "the address";

/// Where to begin.
#[derive(Debug, Clone)]
pub enum TailFrom {
    /// With the first event.
    Start,
    /// With the newest so many events, as far as the head of the feed shows them.
    Newest(usize),
    /// After this cursor, in a feed with sequences.
    After(Cursor),
}

/// Why the events of a feed cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// The feed could not be read; the next call begins at the same place.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The feed does not continue from here: it was restored, has another epoch, or has moved on by
    /// more than it shows.
    #[error("the feed does not continue where it was read last: {0}")]
    Lost(String),
}

impl From<FetchError> for TailError {
    fn from(error: FetchError) -> Self {
        Self::Poll(error.into())
    }
}

impl From<WalkError> for TailError {
    fn from(error: WalkError) -> Self {
        Self::Poll(error.into())
    }
}

impl From<InvalidPosition> for TailError {
    fn from(error: InvalidPosition) -> Self {
        Self::Poll(error.into())
    }
}

/// Follows a feed, and returns its events in sequence. It stores nothing: to continue later, keep the
/// [cursor](Tail::cursor).
#[derive(Debug)]
pub struct Tail {
    source: Source,
    interval: Duration,
    place: Place,
    trust: Trust,
}

#[derive(Debug)]
enum Place {
    /// Nothing was read yet.
    New(TailFrom),
    /// In a feed with sequences.
    At {
        position: Position,
        /// True if there may be more right after it.
        behind: bool,
    },
    /// In a feed without sequences.
    Known {
        /// What the feed showed last; `None` until it has shown an entry.
        window: Option<Window>,
        /// The ids of the entries that were returned, those shown last first.
        ids: Vec<String>,
        validators: Validators,
    },
}

/// Events, in sequence.
#[derive(Debug, Default)]
pub struct Tailed {
    /// The events.
    pub events: Vec<Received>,
    /// True if these are the newest ones for now.
    pub is_newest: bool,
}

impl Tail {
    /// Follows the feed of `subscription`, whose name has no meaning here.
    #[must_use]
    pub fn new(subscription: &Subscription, from: TailFrom) -> Self {
        Self {
            source: Source::new(subscription),
            interval: subscription.interval(),
            place: Place::New(from),
            trust: Trust::default(),
        }
    }

    /// Returns the position after the last event; `None` in a feed without sequences.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        match &self.place {
            Place::At { position, .. } => cursor_at(position).ok().flatten(),
            Place::New(TailFrom::After(cursor)) => Some(cursor.clone()),
            _ => None,
        }
    }

    /// Returns the next events, with their data. If there are none, it waits at the server for a while, or for the poll
    /// interval where it cannot, and returns none.
    ///
    /// # Errors
    ///
    /// Returns an error if the feed cannot be read, or does not continue from here.
    pub async fn next(&mut self) -> Result<Tailed, TailError> {
        let read = self.read().await;
        if read.is_err() {
            self.source.start_over();
        }
        read
    }

    async fn read(&mut self) -> Result<Tailed, TailError> {
        let bypasses = self.trust.must_bypass_caches(Instant::now());
        if bypasses {
            self.source.recheck_configured_url().await?;
        }
        match &self.place {
            Place::New(from) => {
                let from = from.clone();
                self.begin(from).await
            }
            Place::At { position, behind } => {
                let at = position.clone();
                match *behind || bypasses {
                    true => self.catch_up(at).await,
                    false => self.head(at).await,
                }
            }
            Place::Known { validators, .. } => {
                let validators = match bypasses {
                    true => Validators::default(),
                    false => validators.clone(),
                };
                self.unnumbered_head(validators).await
            }
        }
    }

    async fn begin(&mut self, from: TailFrom) -> Result<Tailed, TailError> {
        let Some(new) = self.source.whole_head().await? else {
            return Ok(Tailed::default());
        };
        if new.document.is_no_head() {
            let (url, setting) = (redact_url(self.source.feed_url()), SETTING);
            return Err(PollError::NotTheHead(url, setting).into());
        }
        let Some(end) = new.document.cursor.clone() else {
            return self.begin_unnumbered(from, new).await;
        };
        let position = match from {
            TailFrom::Start => Position::default(),
            TailFrom::After(cursor) => position_of(&cursor),
            TailFrom::Newest(count) => {
                let position = Position {
                    etag: new.validators.etag,
                    last_modified: new.validators.last_modified,
                    ..position_after(&Position::default(), &new.document, &end)
                };
                let skipped = new.document.entries.len().saturating_sub(count);
                let newest: Vec<&FoundEntry> = new.document.entries.iter().skip(skipped).collect();
                let events = self.events(&new.document, &newest).await?;
                self.place = Place::At {
                    position,
                    behind: false,
                };
                return Ok(Tailed {
                    events,
                    is_newest: true,
                });
            }
        };
        self.place = Place::At {
            position,
            behind: true,
        };
        Ok(Tailed::default())
    }

    /// Reads the next document after `at`.
    async fn catch_up(&mut self, at: Position) -> Result<Tailed, TailError> {
        let mut walk = Walk::forward(&self.source, cursor_at(&at)?);
        let document = match walk.next().await {
            Ok(document) => document,
            Err(WalkError::Fetch(FetchError::Status {
                status: 410,
                detail,
                ..
            })) => return Err(TailError::Lost(detail)),
            Err(error) => return Err(error.into()),
        };
        let Some((document, end)) = document.and_then(|document| {
            let end = document.cursor.clone()?;
            Some((document, end))
        }) else {
            return Err(PollError::NotSequenced(redact_url(self.source.feed_url())).into());
        };
        if let Some(reason) = discontinuity(&at, &document, &end) {
            return Err(TailError::Lost(reason));
        }
        self.trust.answered();
        let to = position_after(&at, &document, &end);
        self.take(&document, &at, to).await
    }

    /// Asks the head for what is newer than `at`, and waits for it.
    async fn head(&mut self, at: Position) -> Result<Tailed, TailError> {
        let validators = Validators {
            etag: at.etag.clone(),
            last_modified: at.last_modified.clone(),
        };
        let head = self.source.head(&validators, true, true).await?;
        let rest = self.interval.max(head.fresh);
        let Some(new) = head.new else {
            self.trust.trust_304();
            if !head.waited {
                tokio::time::sleep(rest).await;
            }
            return Ok(Tailed {
                is_newest: true,
                ..Tailed::default()
            });
        };
        let Some(end) = new.document.cursor.clone() else {
            return Err(PollError::NotSequenced(redact_url(self.source.feed_url())).into());
        };
        let has_news = end.sequence > at.sequence;
        self.trust.head(has_news);
        // With its first tag the next request can wait at the server.
        let first_tag = at.etag.is_none() && new.validators.etag.is_some();
        if !has_news && !head.waited && !first_tag {
            tokio::time::sleep(rest).await;
        }
        let shows_it = at.sequence == 0 || new.document.at(at.sequence).is_some();
        let continues = discontinuity(&at, &new.document, &end).is_none();
        if !continues || !(new.delta || shows_it) {
            // The feed itself decides, by `?after=`.
            self.place = Place::At {
                position: at,
                behind: true,
            };
            return Ok(Tailed::default());
        }
        let to = Position {
            etag: new.validators.etag,
            last_modified: new.validators.last_modified,
            ..position_after(&at, &new.document, &end)
        };
        self.take(&new.document, &at, to).await
    }

    /// Takes the events of a document after `at`, as many as come in one request, and continues behind them; behind all of
    /// them, at `to`.
    async fn take(
        &mut self,
        document: &Document,
        at: &Position,
        to: Position,
    ) -> Result<Tailed, TailError> {
        let entries = document.entries.iter();
        let new: Vec<&FoundEntry> = entries
            .filter(|entry| entry.sequence > Some(at.sequence))
            .collect();
        let arrivals = arrivals(&self.source, document, &new).await?;
        let whole = arrivals.len() == new.len();
        let position = match whole {
            true => to,
            false => position_at(&arrivals, &to),
        };
        let behind = !whole || document.is_part() && position.sequence > at.sequence;
        self.place = Place::At { position, behind };
        Ok(Tailed {
            events: received(arrivals),
            is_newest: !behind,
        })
    }

    async fn begin_unnumbered(
        &mut self,
        from: TailFrom,
        new: NewHead,
    ) -> Result<Tailed, TailError> {
        let count = match from {
            TailFrom::After(_) => {
                return Err(PollError::NotSequenced(redact_url(self.source.feed_url())).into());
            }
            TailFrom::Start => return self.unnumbered(None, Vec::new(), new).await,
            TailFrom::Newest(count) => count,
        };
        // The next older document shows a later walk where it ends.
        let mut walk = Walk::back(&self.source, new.document, LIMITS);
        let mut backlog = Backlog::default();
        for _ in 0..2 {
            let Some(document) = walk.next().await? else {
                break;
            };
            backlog.add(document, [], SETTING);
        }
        let mut events = Vec::new();
        if let Some(document) = backlog.documents.first() {
            let skipped = document.entries.len().saturating_sub(count);
            let newest: Vec<&FoundEntry> = document.entries.iter().skip(skipped).collect();
            events = self.events(document, &newest).await?;
        }
        self.place = Place::Known {
            window: backlog.window(),
            ids: backlog.ids().map(str::to_owned).collect(),
            validators: new.validators,
        };
        Ok(Tailed {
            events,
            is_newest: true,
        })
    }

    async fn unnumbered_head(&mut self, validators: Validators) -> Result<Tailed, TailError> {
        let head = self.source.head(&validators, true, false).await?;
        let mut tailed = Tailed {
            is_newest: true,
            ..Tailed::default()
        };
        self.trust.head(head.new.is_some());
        if let (Some(new), Place::Known { window, ids, .. }) = (head.new, &self.place) {
            let (window, ids) = (window.clone(), ids.clone());
            tailed = self.unnumbered(window, ids, new).await?;
        }
        if tailed.events.is_empty() && !head.waited {
            tokio::time::sleep(self.interval.max(head.fresh)).await;
        }
        Ok(tailed)
    }

    /// Returns the entries without those in `known`: of all documents, or back to the `window`.
    async fn unnumbered(
        &mut self,
        window: Option<Window>,
        known: Vec<String>,
        mut new: NewHead,
    ) -> Result<Tailed, TailError> {
        let walked = self.walk_back(new.document, window.clone(), &known);
        let (mut backlog, mut lost) = walked.await?;
        if lost.is_some()
            && backlog.documents.len() > 1
            && let Some(again) = self.source.unnumbered_head_again().await?
        {
            new.validators = again.validators;
            let walked = self.walk_back(again.document, window.clone(), &known);
            (backlog, lost) = walked.await?;
        }
        if let Some(lost) = lost {
            return Err(TailError::Lost(lost.missing_after()));
        }
        let mut events = Vec::new();
        for index in (0..backlog.documents.len()).rev() {
            let entries = backlog.new_in(index, |_| true);
            events.extend(self.events(&backlog.documents[index], &entries).await?);
        }
        let shown = backlog.window();
        let mut distinct = HashSet::new();
        let known = known.iter().map(String::as_str);
        let ids = backlog.ids().chain(known).filter(|id| distinct.insert(*id));
        let most = KNOWN.max(backlog.ids().count());
        let ids = ids.take(most).map(str::to_owned).collect();
        self.place = Place::Known {
            window: match (shown, window) {
                (Some(shown), Some(before)) => Some(shown.after(before)),
                (shown, before) => shown.or(before),
            },
            ids,
            validators: new.validators,
        };
        Ok(Tailed {
            events,
            is_newest: true,
        })
    }

    /// Reads back from `head` to the `window`, or to the oldest document. Returns the window, too, if entries after it may
    /// be missing.
    async fn walk_back(
        &self,
        head: Document,
        window: Option<Window>,
        known: &[String],
    ) -> Result<(Backlog, Option<Window>), TailError> {
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        let mut walk = Walk::back(&self.source, head, LIMITS);
        let mut search = window.map(Search::new);
        let (mut backlog, mut all_known) = (Backlog::default(), true);
        let mut is_needed = true;
        while let Some(document) = walk.next_if(is_needed).await? {
            let taken: HashSet<&str> = ids_of(&document).filter(|id| known.contains(id)).collect();
            all_known &= ids_of(&document).all(|id| taken.contains(id));
            let further = backlog.further_in(&document);
            if let Some(search) = &mut search {
                search.look(backlog.documents.len(), &document, &taken, &further);
            }
            let taken: Vec<String> = taken.into_iter().map(str::to_owned).collect();
            backlog.add(document, taken, SETTING);
            if search.as_ref().is_some_and(Search::has_ended) {
                break;
            }
            is_needed = search
                .as_ref()
                .is_none_or(|search| !search.needs_no_older());
        }
        let lost = search.filter(|search| !all_known && search.end().is_none());
        Ok((backlog, lost.map(|search| search.window)))
    }

    /// Fetches the data of `entries`.
    async fn events(
        &self,
        document: &Document,
        entries: &[&FoundEntry],
    ) -> Result<Vec<Received>, TailError> {
        let mut events = Vec::with_capacity(entries.len());
        while events.len() < entries.len() {
            let arrived = arrivals(&self.source, document, &entries[events.len()..]).await?;
            events.extend(received(arrived));
        }
        Ok(events)
    }
}

/// Returns the events; one whose data cannot be read has none.
fn received(arrivals: Vec<Arrival>) -> Vec<Received> {
    let event = |arrival: Arrival| {
        if let Some(missing) = &arrival.missing {
            let id = &arrival.event.id;
            tracing::warn!(
                event.id = id,
                "no data of event {}: {}",
                printable(id),
                missing.reason
            );
        }
        arrival.event
    };
    arrivals.into_iter().map(event).collect()
}

fn position_of(cursor: &Cursor) -> Position {
    Position {
        epoch: Some(cursor.epoch.to_string()),
        sequence: cursor.sequence,
        anchor: cursor.anchor.map(|anchor| anchor.urn()),
        ..Position::default()
    }
}
