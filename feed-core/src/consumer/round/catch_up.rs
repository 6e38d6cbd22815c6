//! The way forward through a feed that numbers its events: from our place, page by page, until
//! there is nothing newer. Never past a hole (I8).
//!
//! The next documents are fetched while the one before is applied (`ahead`), and what is ours is
//! gathered until it fills a transaction: so an instance that holds few partitions needs no more
//! statements for an event than one that holds all.

use std::time::Instant;

use tracing::info;

use super::poll::{PollError, Polled};
use crate::consumer::apply::batch::{Arrival, BATCH, position_at};
use crate::consumer::source::content::TOGETHER;
use crate::consumer::source::document::Document;
use crate::consumer::source::fetch::FetchError;
use crate::consumer::source::prefetch::{Ahead, Step};
use crate::consumer::{Consumer, Effect};
use crate::cursor::Cursor;
use crate::event::EventId;
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents read in one round; the next round goes on from there. In between we hear whether
/// somebody wants something else.
const DOCUMENTS: usize = 50;

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Goes forward from where we are.
    pub(crate) async fn catch_up(&mut self) -> Result<Polled, PollError> {
        let orders = self.context.leases.orders.borrow().clone();
        let begin = self.place.seen.sequence;
        // What is gathered is not stored: if the next document fails, we are where we were before.
        let mut gathered = Vec::new();
        let mut at = self.place.seen.clone();
        let mut applied = 0;
        let mut linked = false;
        let mut at_the_end = false;
        let mut ahead = self.ahead_of(&at, DOCUMENTS)?;
        for n in 1..=DOCUMENTS {
            let Step {
                document,
                arrivals,
                end,
                whole,
            } = match ahead.next().await {
                Err(PollError::Fetch(error)) => match unknown_place(&error) {
                    Some(reason) => return self.halt(&reason).await,
                    None => return Err(error.into()),
                },
                step => match step? {
                    Some(step) => step,
                    None => break,
                },
            };
            let stands_still = document.archive && whole && end.sequence <= at.sequence;
            let broken = discontinuity(&at, &document, &end);
            if std::mem::replace(&mut linked, true) && (stands_still || broken.is_some()) {
                // A link may lead astray; `?after=` is the feed's own word.
                ahead = self.ahead_of(&at, DOCUMENTS - n)?;
                linked = false;
                continue;
            }
            if let Some(reason) = broken {
                return self.halt(&reason).await;
            }
            self.place.answered();
            self.context.heard(Some(end.sequence));
            // A document may show again what we have seen.
            let new = |arrival: &Arrival| arrival.event.sequence > Some(at.sequence);
            gathered.extend(arrivals.into_iter().filter(new));
            at = position(&at, &document, &end);
            let interrupted = *self.context.leases.orders.borrow() != orders;
            at_the_end = !document.archive && whole || stands_still;
            let last = at_the_end || n == DOCUMENTS || interrupted;
            let bytes: usize = gathered
                .iter()
                .map(|arrival| arrival.event.data.len())
                .sum();
            let (batch, to) = full_of(&mut gathered, &at, last || bytes >= TOGETHER);
            match batch {
                Some(batch) => {
                    let taken = self.context.apply(&mut self.place.held, batch, &to).await;
                    match self.settle(taken, to)? {
                        Some(events) => applied += events,
                        None => return Ok(Polled::Interrupted),
                    }
                }
                None if gathered.is_empty() => self.place.see(at.clone()),
                None => {}
            }
            self.progress();
            if last {
                break;
            }
        }
        // A head that shows less than we have, from a cache, must not make us ask without a pause.
        if begin == self.place.seen.sequence {
            return Ok(Polled::UpToDate { waited: false });
        }
        self.more = !at_the_end;
        Ok(Polled::Applied(applied))
    }

    /// How the feed contradicts what partitions of ours have taken that are ahead of the others.
    pub(crate) async fn contradiction(&mut self) -> Result<Option<String>, PollError> {
        while let Some(place) = self.place.unconfirmed.last() {
            let document = match self.source.after(cursor_of(place)?.as_ref()).await {
                Ok(document) => document,
                Err(error) => match unknown_place(&error) {
                    Some(reason) => return Ok(Some(reason)),
                    None => return Err(error.into()),
                },
            };
            let end = document.cursor.as_ref();
            let broken = end.and_then(|end| discontinuity(place, &document, end));
            if broken.is_some() {
                return Ok(broken);
            }
            self.place.unconfirmed.pop();
        }
        Ok(None)
    }

    /// The documents that come after `at`.
    fn ahead_of(&self, at: &Position, documents: usize) -> Result<Ahead, PollError> {
        let ours = self.place.ours();
        Ok(Ahead::from(&self.source, cursor_of(at)?, ours, documents))
    }

    /// Says from time to time how far we have come.
    fn progress(&mut self) {
        let head = self
            .context
            .leases
            .heartbeat(|heartbeat| heartbeat.head_sequence);
        let (sequence, head) = (self.place.seen.sequence, head.unwrap_or(0));
        let soon = self.said.is_some_and(|said| said.elapsed().as_secs() < 2);
        if soon && sequence < head {
            return;
        }
        self.said = Some(Instant::now());
        let name = &self.context.subscription.name;
        info!(
            sequence,
            head, "caught up to event {sequence} of {head} of {name}"
        );
    }
}

/// Takes what fills transactions out of `gathered`, which goes up to `at`, and says up to where that
/// is. What is left waits for more: a transaction for the few events that are too many for one would
/// double the statements. At the end nothing waits, nor where it is much.
fn full_of(
    gathered: &mut Vec<Arrival>,
    at: &Position,
    last: bool,
) -> (Option<Vec<Arrival>>, Position) {
    let count = match last {
        true => gathered.len(),
        false => gathered.len() - gathered.len() % BATCH,
    };
    let rest = gathered.split_off(count);
    let full = std::mem::replace(gathered, rest);
    let to = match gathered.is_empty() {
        true => at.clone(),
        false => position_at(&full, at),
    };
    ((last || count > 0).then_some(full), to)
}

/// Where a reader is who has taken all of `document`, if it was at `seen` before.
pub(crate) fn position(seen: &Position, document: &Document, end: &Cursor) -> Position {
    let newest = document.entries.last();
    // The head's tag stands for its newest event: it holds as long as we are there.
    let same = end.sequence == seen.sequence && seen.epoch.is_some();
    let validators = seen.clone();
    Position {
        epoch: Some(end.epoch.to_string()),
        sequence: end.sequence,
        anchor: newest.map_or_else(|| seen.anchor.clone(), |entry| Some(entry.id.clone())),
        updated: newest.map_or(seen.updated, |entry| Some(entry.updated)),
        etag: validators.etag.filter(|_| same),
        last_modified: validators.last_modified.filter(|_| same),
    }
}

/// How `document` fails to go on from `from` without a hole, if it does; what is not new in it
/// must be what we have seen.
pub(crate) fn discontinuity(from: &Position, document: &Document, end: &Cursor) -> Option<String> {
    let first = document.first().unwrap_or(end.sequence.saturating_add(1));
    let anchor = document.at(from.sequence).map(|entry| &entry.id);
    let epoch = from.epoch.as_deref().unwrap_or(end.epoch.as_str());
    if epoch != end.epoch.as_str() {
        return Some(format!(
            "the feed is another one: its epoch is {}, ours was {epoch}",
            end.epoch
        ));
    }
    if anchor.is_some_and(|anchor| Some(anchor) != from.anchor.as_ref()) {
        return Some(format!(
            "the feed took another way: its event {} is not the one we have seen",
            from.sequence
        ));
    }
    if first > from.sequence.saturating_add(1) || end.sequence < from.sequence {
        return Some(format!(
            "the feed does not go on from our place: we are at {}, it gave us {first} to {}",
            from.sequence, end.sequence
        ));
    }
    None
}

/// What it means where the feed answers that a place is not one of its own.
fn unknown_place(error: &FetchError) -> Option<String> {
    match error {
        FetchError::Status {
            status: 410,
            detail,
            ..
        } => Some(format!("the feed does not know our place: {detail}")),
        _ => None,
    }
}

/// The event that an entry's id names.
pub(crate) fn id_of(entry: &str) -> Option<EventId> {
    let id = entry.strip_prefix("urn:uuid:")?;
    Some(EventId(id.parse().ok()?))
}

/// The cursor at a position of ours; `None` before the first event.
fn cursor_of(position: &Position) -> Result<Option<Cursor>, PollError> {
    let Some(epoch) = &position.epoch else {
        return Ok(None);
    };
    let cursor = epoch.parse().ok().and_then(|epoch| {
        let anchor = match position.sequence {
            0 => None,
            _ => Some(id_of(position.anchor.as_deref()?)?),
        };
        Some(Cursor {
            epoch,
            sequence: position.sequence,
            anchor,
        })
    });
    match cursor {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(sqlx::Error::Protocol("a stored cursor cannot be read".to_owned()).into()),
    }
}
