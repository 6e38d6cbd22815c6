//! One round: ask the feed, find what continues our sequence, fetch its data, have it applied.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use chrono::Utc;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::{error, info, warn};

use super::apply::Arrival;
use super::document::{Document, FoundEntry};
use super::fetch::{FetchError, Head, Validators};
use super::lease::partition_of;
use super::{Consumer, Context, Effect, Received};
use crate::cursor::Cursor;
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents read in one round; the next round goes on from there.
const DOCUMENTS: usize = 50;

/// Contents fetched at the same time where there is no batch.
const FETCHES: usize = 8;

/// How long a pause lasts in which only a change elsewhere can help.
const IDLE: Duration = Duration::from_secs(3);

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// New events were taken, this many with their effect committed now.
    Applied(usize),
    /// There is nothing new.
    UpToDate {
        /// True if the server held the request back until it was sure of that, or could not since
        /// we had no tag yet: then the next request may follow at once.
        waited: bool,
    },
    /// All partitions are other instances'.
    LeasedElsewhere,
    /// The subscription is halted until a person decides.
    Halted,
    /// Somebody asked for something else meanwhile.
    Interrupted,
}

/// Why a round failed. Nothing is lost: the next one begins where this one did.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The feed could not be read.
    #[error("cannot read the feed")]
    Fetch(#[from] FetchError),
    /// Our own database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The feed is not what it was.
    #[error("the feed has no sequence any more: is {0} still the same feed?")]
    NotSequenced(url::Url),
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Does one round.
    ///
    /// # Errors
    ///
    /// The feed could not be read or the database failed. The cursor is where it was.
    pub async fn poll_once(&mut self) -> Result<Polled, PollError> {
        let orders = self.context.leases.orders.borrow().clone();
        if orders.halted.is_some() {
            return Ok(Polled::Halted);
        }
        if self.leases_seen != Some(orders.leases) {
            let (pool, s, me) = self.context.names();
            self.held = B::held(pool, s, me).await?;
            self.leases_seen = Some(orders.leases);
        }
        self.context.retry_due(&self.held).await?;
        let Some(lowest) = self.lowest() else {
            return Ok(Polled::LeasedElsewhere);
        };
        // The tag says "I have everything up to here": true only if all our partitions have.
        let aligned = self.held.iter().all(|held| held.position == lowest);
        if !aligned && lowest.epoch.is_some() {
            return self.catch_up().await;
        }
        let seen = match aligned {
            true => Validators {
                etag: lowest.etag.clone(),
                last_modified: lowest.last_modified.clone(),
            },
            false => Validators::default(),
        };
        let head = tokio::select! {
            head = self.source.head(&seen) => head?,
            () = self.context.interrupted(orders.leases) => return Ok(Polled::Interrupted),
        };
        self.context.heard(None);
        match head {
            Head::NotModified { waited } => Ok(Polled::UpToDate { waited }),
            Head::New(document, validators) => match document.cursor.clone() {
                Some(cursor) => {
                    self.context.heard(Some(cursor.sequence));
                    if !continues(&lowest, &document, &cursor) {
                        return self.catch_up().await;
                    }
                    let new = cursor.sequence > lowest.sequence;
                    let events = self.take(&document, &cursor, validators).await?;
                    let first_tag = lowest.etag.is_none() && self.has_tag();
                    Ok(match new {
                        true => Polled::Applied(events),
                        false => Polled::UpToDate { waited: first_tag },
                    })
                }
                None if lowest.epoch.is_some() => {
                    let url = self.context.subscription.feed_url.clone();
                    Err(PollError::NotSequenced(url))
                }
                None => self.take_unnumbered(&document, validators).await,
            },
        }
    }

    /// The way forward from the lowest cursor, page by page, until there is nothing newer. Never
    /// past a hole (I8).
    async fn catch_up(&mut self) -> Result<Polled, PollError> {
        let mut applied = 0;
        for _ in 0..DOCUMENTS {
            let Some(lowest) = self.lowest() else {
                return Ok(Polled::LeasedElsewhere);
            };
            let cursor = match &lowest.epoch {
                Some(_) => Some(cursor_of(&lowest)?),
                None => None,
            };
            let document = match self.source.after(cursor.as_ref()).await {
                Ok(document) => document,
                Err(FetchError::Status {
                    status: 410,
                    detail,
                    ..
                }) => {
                    return self
                        .halt(&format!("the feed does not know our place: {detail}"))
                        .await;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(end) = document.cursor.clone() else {
                let url = self.context.subscription.feed_url.clone();
                return Err(PollError::NotSequenced(url));
            };
            self.context.heard(Some(end.sequence));
            if !continues(&lowest, &document, &end) {
                let reason = format!(
                    "the feed does not go on from our place: we are at {} of epoch {}, it gave us \
                     {} to {} of epoch {}",
                    lowest.sequence,
                    lowest.epoch.as_deref().unwrap_or("none"),
                    document.first().unwrap_or(end.sequence + 1),
                    end.sequence,
                    end.epoch
                );
                return self.halt(&reason).await;
            }
            applied += self.take(&document, &end, Validators::default()).await?;
            info!(
                sequence = end.sequence,
                "caught up to event {} of {}", end.sequence, self.context.subscription.name
            );
            if !document.archive || self.leases_seen.is_none() {
                break;
            }
        }
        Ok(Polled::Applied(applied))
    }

    /// Applies what is new in `document` and moves our partitions to its end; returns how many
    /// effects were committed.
    async fn take(
        &mut self,
        document: &Document,
        cursor: &Cursor,
        validators: Validators,
    ) -> Result<usize, PollError> {
        let newest = document.entries.last();
        let lowest = self.lowest().unwrap_or_default();
        let to = Position {
            epoch: Some(cursor.epoch.to_string()),
            sequence: cursor.sequence,
            anchor: newest.map(|entry| entry.id.clone()).or(lowest.anchor),
            updated: newest.map(|entry| entry.updated).or(lowest.updated),
            etag: validators.etag,
            last_modified: validators.last_modified,
        };
        let ours: Vec<&FoundEntry> = document
            .entries
            .iter()
            .filter(|entry| {
                let partition = partition_of(entry.subject.as_deref().unwrap_or(&entry.id));
                self.held.iter().any(|held| {
                    held.partition == partition && entry.sequence > Some(held.position.sequence)
                })
            })
            .collect();
        self.apply(document, &ours, &to).await
    }

    /// Applies what is new in a document of a feed that numbers nothing: what nobody has claimed.
    async fn take_unnumbered(
        &mut self,
        document: &Document,
        validators: Validators,
    ) -> Result<Polled, PollError> {
        let (pool, s, _) = self.context.names();
        let ids: Vec<&str> = document
            .entries
            .iter()
            .map(|entry| entry.id.as_str())
            .collect();
        let known = B::claimed(pool, s, &ids).await?;
        let ours: Vec<&FoundEntry> = document
            .entries
            .iter()
            .filter(|entry| {
                let partition = partition_of(entry.subject.as_deref().unwrap_or(&entry.id));
                !known.contains(&entry.id)
                    && self.held.iter().any(|held| held.partition == partition)
            })
            .collect();
        let to = Position {
            etag: validators.etag,
            last_modified: validators.last_modified,
            ..Position::default()
        };
        if ours.is_empty() && self.held.iter().all(|held| held.position == to) {
            return Ok(Polled::UpToDate { waited: false });
        }
        Ok(match self.apply(document, &ours, &to).await? {
            0 => Polled::UpToDate { waited: false },
            events => Polled::Applied(events),
        })
    }

    async fn apply(
        &mut self,
        document: &Document,
        entries: &[&FoundEntry],
        to: &Position,
    ) -> Result<usize, PollError> {
        let arrivals = self.fetch(document, entries).await?;
        let applied = self.context.apply(&mut self.held, arrivals, to).await;
        if !applied.as_ref().is_ok_and(|applied| !applied.fenced) {
            // What we hold, or how far it has got, may not be what we think: read it again.
            self.leases_seen = None;
        }
        Ok(applied?.events)
    }

    /// The data of `entries`: in one request where the feed has a batch, else each by itself.
    async fn fetch(
        &self,
        document: &Document,
        entries: &[&FoundEntry],
    ) -> Result<Vec<Arrival>, PollError> {
        let mut batch = match entries {
            [] | [_] => HashMap::new(),
            _ => self.batch(document).await?,
        };
        let mut arrivals = Vec::with_capacity(entries.len());
        let mut single = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let found = batch.remove(&entry.id);
            let mut arrival = arrival_of(entry);
            match found {
                Some(event) => {
                    arrival.event.data = event.data;
                    arrival.event.traceparent = event.traceparent;
                }
                None => single.push(index),
            }
            arrivals.push(arrival);
        }
        let contents: Vec<_> = stream::iter(single)
            .map(|index| async move { (index, self.content(document, entries[index]).await) })
            .buffered(FETCHES)
            .collect()
            .await;
        for (index, content) in contents {
            match content? {
                Ok(data) => arrivals[index].event.data = data,
                Err(reason) => arrivals[index].missing = Some(reason),
            }
        }
        Ok(arrivals)
    }

    /// The events of a document with their data, by entry id; empty where there is no batch, or
    /// it is over the bound: then each is fetched by itself.
    async fn batch(&self, document: &Document) -> Result<HashMap<String, BatchEvent>, PollError> {
        let batch = "application/cloudevents-batch+json";
        let Some(url) = document.link("related", Some(batch))? else {
            return Ok(HashMap::new());
        };
        let body = match self.source.bytes(url, batch).await {
            Ok(body) => body,
            // Without it each event is fetched by itself, so that one that spoils the batch stands
            // in nobody else's way.
            Err(error @ (FetchError::TooLarge { .. } | FetchError::Status { .. })) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "no batch: one by one"
                );
                return Ok(HashMap::new());
            }
            Err(error) => return Err(error.into()),
        };
        match serde_json::from_slice::<Vec<Structured>>(&body) {
            Ok(events) => Ok(events.into_iter().map(Structured::into_event).collect()),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the batch cannot be read"
                );
                Ok(HashMap::new())
            }
        }
    }

    /// The content of an entry by RFC 4287, 4.1.3.3; the inner error is the event's own, and
    /// parks it.
    async fn content(
        &self,
        document: &Document,
        entry: &FoundEntry,
    ) -> Result<Result<String, String>, PollError> {
        let Some(content) = &entry.content else {
            return Ok(Err("the entry has no content".to_owned()));
        };
        let Some(src) = &content.src else {
            return Ok(inline(content));
        };
        let url = match document.resolve(src, content.base.as_deref()) {
            Ok(url) => url,
            Err(error) => return Ok(Err(error.to_string())),
        };
        match self.source.bytes(url, "application/json, */*;q=0.5").await {
            Ok(body) => Ok(String::from_utf8(body.into())
                .map_err(|_| format!("the content at {src} is not UTF-8"))),
            // Only what another attempt would meet again is the event's own fault; a missing
            // credential or a busy server is not.
            Err(
                error @ FetchError::Status {
                    status: 404 | 410, ..
                },
            )
            | Err(error @ FetchError::TooLarge { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    async fn halt(&mut self, reason: &str) -> Result<Polled, PollError> {
        let name = &self.context.subscription.name;
        error!("the subscription {name} is halted: {reason}");
        let (pool, s, _) = self.context.names();
        B::halt(pool, s, reason).await?;
        self.context
            .leases
            .orders
            .send_modify(|orders| orders.halted = Some(reason.to_owned()));
        Ok(Polled::Halted)
    }

    /// True if all our partitions have the head's tag.
    fn has_tag(&self) -> bool {
        self.held.iter().all(|held| held.position.etag.is_some())
    }

    /// The lowest position of our partitions.
    fn lowest(&self) -> Option<Position> {
        let lowest = self.held.iter().min_by_key(|held| held.position.sequence);
        lowest.map(|held| held.position.clone())
    }

    /// How long to wait before the next round.
    pub(super) fn pause_after(&mut self, round: &Result<Polled, PollError>) -> Duration {
        let interval = self.context.subscription.poll_interval;
        match round {
            Ok(Polled::Applied(_) | Polled::UpToDate { waited: true } | Polled::Interrupted) => {
                Duration::ZERO
            }
            // Spread out by a fifth, so that consumers do not ask all at the same moment.
            Ok(Polled::UpToDate { waited: false }) => interval.mul_f64(0.9 + fastrand::f64() / 5.0),
            Ok(Polled::LeasedElsewhere | Polled::Halted) => IDLE,
            Err(PollError::Fetch(FetchError::Status {
                retry_after: Some(wait),
                ..
            })) => wait.mul_f64(1.0 + fastrand::f64() / 5.0),
            Err(_) => back_off(self.context.failures()),
        }
    }
}

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Ends when somebody wants something else than to wait at the server.
    async fn interrupted(&self, leases: u64) {
        let mut orders = self.leases.orders.subscribe();
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = self.leases.wake.notified() => {}
            _ = orders.wait_for(|orders| orders.leases != leases || orders.halted.is_some()) => {}
        }
    }

    /// Waits until `pause` is over, or there is a reason to go on before.
    pub(super) async fn pause(&self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        let leases = self.leases.orders.borrow().leases;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.interrupted(leases) => {}
        }
    }

    /// Notes that the feed has answered, and how far it has got.
    fn heard(&self, sequence: Option<i64>) {
        self.heartbeat(|heartbeat| {
            heartbeat.last_contact = Some(Utc::now());
            heartbeat.head_sequence = sequence.max(heartbeat.head_sequence);
        });
    }
}

/// True if what is new in `document` goes on from `from` without a hole, and what is not new is
/// what we have seen.
fn continues(from: &Position, document: &Document, end: &Cursor) -> bool {
    let same_epoch = from
        .epoch
        .as_deref()
        .is_none_or(|epoch| epoch == end.epoch.as_str());
    let first = document.first().unwrap_or(end.sequence + 1);
    let anchor = document.at(from.sequence).map(|entry| &entry.id);
    same_epoch
        && first <= from.sequence + 1
        && end.sequence >= from.sequence
        && anchor.is_none_or(|anchor| Some(anchor) == from.anchor.as_ref())
}

/// The cursor at a position of ours.
fn cursor_of(position: &Position) -> Result<Cursor, PollError> {
    let text = position.epoch.as_deref().and_then(|epoch| {
        let anchor = position.anchor.as_deref().unwrap_or_default();
        let anchor = match position.sequence {
            0 => "0".to_owned(),
            _ => anchor.strip_prefix("urn:uuid:")?.replace('-', ""),
        };
        format!("{epoch}.{}.{anchor}", position.sequence)
            .parse()
            .ok()
    });
    text.ok_or_else(|| sqlx::Error::Protocol("a stored cursor cannot be read".to_owned()).into())
}

/// An event before its data is there.
fn arrival_of(entry: &FoundEntry) -> Arrival {
    Arrival {
        event: Received {
            id: entry.id.clone(),
            event_type: entry.event_type.clone(),
            subject: entry.subject.clone().unwrap_or_else(|| entry.id.clone()),
            sequence: entry.sequence,
            time: entry.published,
            data: String::new(),
            traceparent: None,
        },
        missing: None,
    }
}

/// Content that stands in the entry: text as it is, JSON and other media types in Base64.
fn inline(content: &atom_syndication::Content) -> Result<String, String> {
    let value = content.value.clone().unwrap_or_default();
    let media_type = content.content_type.as_deref().unwrap_or("text");
    let is_text = matches!(media_type, "text" | "html" | "xhtml")
        || media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || media_type.ends_with("/xml");
    if is_text {
        return Ok(value);
    }
    let packed: String = value.split_ascii_whitespace().collect();
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(packed)
        .map_err(|error| format!("the content of type {media_type} is not Base64: {error}"))?;
    String::from_utf8(decoded).map_err(|_| "the content is not UTF-8".to_owned())
}

/// How long to stay away after `failures` rounds failed in a row: doubling, bounded, and spread
/// out so that instances do not come back together.
fn back_off(failures: u32) -> Duration {
    let longest = Duration::from_millis(250 << failures.min(7)).min(Duration::from_secs(30));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// What we take from an event of a batch: its identity and place stand in the entry.
#[derive(Debug)]
struct BatchEvent {
    data: String,
    traceparent: Option<String>,
}

#[derive(Deserialize)]
struct Structured {
    id: String,
    traceparent: Option<String>,
    data: Box<RawValue>,
}

impl Structured {
    fn into_event(self) -> (String, BatchEvent) {
        let event = BatchEvent {
            data: self.data.get().to_owned(),
            traceparent: self.traceparent,
        };
        (format!("urn:uuid:{}", self.id), event)
    }
}
