//! One round: ask the feed, find what continues our sequence, fetch its data, have it applied.

use std::time::Duration;

use chrono::Utc;
use tracing::{error, info};

use super::document::{Document, FoundEntry};
use super::fetch::{FetchError, Head, Validators};
use super::lease::partition_of;
use super::{Consumer, Context, Effect};
use crate::cursor::Cursor;
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents read in one round; the next round goes on from there.
const DOCUMENTS: usize = 50;

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
    /// The address is that of a page, which has an end.
    #[error("{0} is a part of a feed, not its head: FEED_URL is to be the address of the feed")]
    NotTheHead(url::Url),
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
            Head::New(document, ..) if document.is_no_head() => {
                let url = self.context.subscription.feed_url.clone();
                Err(PollError::NotTheHead(url))
            }
            Head::New(document, validators, delta) => match document.cursor.clone() {
                Some(cursor) => {
                    self.context.heard(Some(cursor.sequence));
                    // A head that begins right after our place does not show that it is the place
                    // we have seen; `?after=` is checked by the feed itself.
                    let shows_it = lowest.sequence == 0 || document.at(lowest.sequence).is_some();
                    if !(delta || shows_it) || !continues(&lowest, &document, &cursor) {
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
        let begin = self.lowest().map(|lowest| lowest.sequence);
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
                    document.first().unwrap_or(end.sequence.saturating_add(1)),
                    end.sequence,
                    end.epoch
                );
                return self.halt(&reason).await;
            }
            applied += self.take(&document, &end, Validators::default()).await?;
            if end.sequence > lowest.sequence {
                info!(
                    sequence = end.sequence,
                    "caught up to event {} of {}", end.sequence, self.context.subscription.name
                );
            }
            if !document.archive || self.leases_seen.is_none() {
                break;
            }
        }
        // A head that shows less than we have, from a cache, must not make us ask without a pause.
        if begin == self.lowest().map(|lowest| lowest.sequence) {
            return Ok(Polled::UpToDate { waited: false });
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
        let arrivals = self.source.arrivals(document, entries).await?;
        let applied = self.context.apply(&mut self.held, arrivals, to).await;
        if !applied.as_ref().is_ok_and(|applied| !applied.fenced) {
            // What we hold, or how far it has got, may not be what we think: read it again.
            self.leases_seen = None;
        }
        Ok(applied?.events)
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
            })) => {
                // Zero, or a date in the past, is no leave to ask without a pause.
                let wait = wait.mul_f64(1.0 + fastrand::f64() / 5.0);
                wait.max(back_off(self.context.failures()))
            }
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
    let first = document.first().unwrap_or(end.sequence.saturating_add(1));
    let anchor = document.at(from.sequence).map(|entry| &entry.id);
    same_epoch
        && first <= from.sequence.saturating_add(1)
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

/// How long to stay away after `failures` rounds failed in a row: doubling, bounded, and spread
/// out so that instances do not come back together.
fn back_off(failures: u32) -> Duration {
    let longest = Duration::from_millis(250 << failures.min(7)).min(Duration::from_secs(30));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
