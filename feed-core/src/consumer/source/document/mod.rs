//! The meaning of a feed document, from feed-core or any other publisher.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use url::{Position, Url};

use super::charset::decode;
use super::entry::{FoundEntry, InvalidDocument, MOST_PARTS};
use super::link::{RefusedLink, resolve};
use super::media_type::essence;
use super::order::Order;
use super::reader::{self, Link};
use crate::cursor::Cursor;
use crate::event::{LAST_SEQUENCE, LONGEST_NAME, Sequence};
use crate::partition::Partitions;

/// The media types of feed documents.
const FEEDS: [&str; 3] = ["application/atom+xml", "application/xml", "text/xml"];

/// A parsed feed document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The URL it was read from.
    read_from: Url,
    /// Its `rel=self`.
    own: Option<Url>,
    base: Option<String>,
    links: Vec<Link>,
    /// True for a page (RFC 5005, section 4).
    archive: bool,
    /// The position after this document; `None` if the feed is not of feed-core.
    pub(crate) cursor: Option<Cursor>,
    /// Feeds with a cursor: in sequence, without gaps. Others: oldest first.
    pub(crate) entries: Vec<FoundEntry>,
    /// When the entries with these ids were deleted, in a feed without cursor.
    pub(super) deleted: HashMap<String, DateTime<Utc>>,
    /// What is left out of a document of some partitions.
    pub(super) omitted: Option<Omitted>,
    /// True if it has all entries of its feed (RFC 5005, section 2).
    pub(crate) complete: bool,
    /// The approximate size in memory.
    pub(crate) size: usize,
}

/// The events up to the cursor that the feed has left out, as it was asked to.
#[derive(Debug, Clone)]
pub(crate) struct Omitted {
    /// The partitions whose events are all there.
    pub(super) share: Partitions,
    /// Ascending, and apart from each other.
    events: Vec<RangeInclusive<Sequence>>,
}

impl Document {
    /// Parses a document that came with this `Content-Type`, within bounds.
    pub(crate) fn read(
        body: &[u8],
        content_type: Option<&str>,
        read_from: Url,
    ) -> Result<Self, InvalidDocument> {
        let feed = reader::read(&decode(body, content_type)?)?;
        let cursor = match feed.cursor {
            Some(text) => Some(text.parse().map_err(|error| {
                InvalidDocument::Contradiction(format!("its cursor cannot be read: {error}"))
            })?),
            None => None,
        };
        let omitted = match &feed.omitted {
            Some((share, events)) => Some(Omitted::read(share, events)?),
            None => None,
        };
        let own = feed.links.iter().find(|link| link.rel == "self");
        let own = own.and_then(|link| {
            let bases = feed.base.iter().chain(&link.base);
            let mut address = read_from.clone();
            for inner in bases.chain([&link.href]) {
                address = address.join(inner).ok()?;
            }
            Some(address)
        });
        // feed-core's feeds delete no entries.
        let deleted = match cursor {
            Some(_) => HashMap::new(),
            None => feed.deleted,
        };
        let stays = |entry: &FoundEntry| !is_deleted(entry, &deleted);
        let entries = feed.entries.into_iter().filter(stays).collect();
        let mut document = Self {
            size: body.len(),
            own,
            read_from,
            base: feed.base,
            archive: feed.archive,
            cursor,
            links: feed.links,
            entries,
            deleted,
            omitted,
            complete: feed.complete,
        };
        document.size += document.entries.len() * size_of::<FoundEntry>();
        document.size += document.links.len() * size_of::<Link>();
        document.size += size_of_val(document.omitted_events());
        let contradiction = |text: String| Err(InvalidDocument::Contradiction(text));
        for entry in &document.entries {
            if entry.id.is_empty() {
                return contradiction("an entry has no id".to_owned());
            }
            let event_type = entry.event_type.as_deref().unwrap_or_default();
            let names = [&entry.id, entry.subject(), event_type];
            if names.iter().any(|name| name.len() > LONGEST_NAME) {
                return contradiction(format!(
                    "an entry's id, subject or type is longer than {LONGEST_NAME} bytes"
                ));
            }
        }
        document.sort()?;
        Ok(document)
    }

    /// Sorts the entries: their order in a document has no meaning (RFC 4287, 4.1.1).
    fn sort(&mut self) -> Result<(), InvalidDocument> {
        let Some(cursor) = &self.cursor else {
            // Of equal dates, the order of the document decides. Feeds usually list the newest first.
            if Order::of_most(&self.listed()).0 == Order::NewestFirst {
                self.entries.reverse();
            }
            self.entries.sort_by_key(|entry| entry.updated);
            // Sequences without a cursor are copied from another feed, and mean nothing here.
            for entry in &mut self.entries {
                entry.sequence = None;
            }
            return Ok(());
        };
        self.entries.sort_by_key(|entry| entry.sequence);
        let contradiction = |text| Err(InvalidDocument::Contradiction(text));
        let mut events = self.omitted_events().to_vec();
        for entry in &self.entries {
            let Some(sequence) = entry.sequence else {
                return contradiction("an entry has no sequence".to_owned());
            };
            // The cursor after it contains its id.
            if entry.event_id().is_none() {
                let id = crate::consumer::sanitize::sanitize(&entry.id);
                return contradiction(format!(
                    "the event {id} cannot be followed by a cursor: in a feed with a cursor, ids are \
                     urn:uuid: and a UUID"
                ));
            }
            events.push(sequence..=sequence);
        }
        events.sort_unstable_by_key(|range| *range.start());
        for pair in events.windows(2) {
            let (one, next) = (*pair[0].end(), *pair[1].start());
            if one.checked_add(1) != Some(next) {
                return contradiction(format!("sequence {next} comes after {one}"));
            }
        }
        let mut ids = HashSet::new();
        if let Some(twice) = self.entries.iter().find(|entry| !ids.insert(&entry.id)) {
            return contradiction(format!("the event {} has two numbers", twice.id));
        }
        match events.last() {
            Some(last) if *last.end() != cursor.sequence => contradiction(format!(
                "its cursor is at {}, its last entry is not",
                cursor.sequence
            )),
            _ => Ok(()),
        }
    }

    /// Returns the entries in the order of the document.
    pub(super) fn listed(&self) -> Vec<&FoundEntry> {
        let mut listed: Vec<&FoundEntry> = self.entries.iter().collect();
        listed.sort_by_key(|entry| entry.index);
        listed
    }

    /// Returns true for a view of some of the events of a feed with sequences: it is paged (RFC 5005, section 3),
    /// and its address has a filter.
    pub(super) fn is_filtered(&self) -> bool {
        let first = self.link("first", None).ok().flatten();
        self.cursor.is_some()
            && first.is_some_and(|first| {
                let mut query = first.query_pairs();
                query.any(|(name, _)| matches!(&*name, "type" | "subject"))
            })
    }

    /// Returns the link to earlier entries, in a feed that is archived (RFC 5005, section 4) or
    /// paged (section 3).
    pub(crate) fn older(&self) -> Result<Option<Url>, RefusedLink> {
        let older = match self.link("prev-archive", None)? {
            Some(url) => Some(url),
            None => self.link("next", None)?,
        };
        // The last page of some systems links to itself.
        Ok(older.filter(|older| {
            older[..Position::AfterQuery] != self.read_from[..Position::AfterQuery]
        }))
    }

    /// Returns true if it leads to the pages of an archive.
    pub(super) fn has_archive(&self) -> bool {
        !matches!(self.link("prev-archive", None), Ok(None))
    }

    /// Returns true if older entries may be in another document.
    pub(crate) fn has_older(&self) -> bool {
        !matches!(self.older(), Ok(None))
    }

    /// Returns true if its feed may have later events elsewhere: for a page, and for the first part
    /// of the events after a cursor.
    pub(crate) fn is_part(&self) -> bool {
        self.archive || self.is_no_head() && self.links.iter().any(|link| link.rel == "next")
    }

    /// Returns the URL it was read from.
    pub(crate) fn address(&self) -> &Url {
        &self.read_from
    }

    /// Returns true if `url` is the address of this document, or a part of it.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        let own = self.own.iter().chain([&self.read_from]);
        own.map(|own| &own[..Position::AfterQuery])
            .any(|own| own == &url[..Position::AfterQuery])
    }

    /// Returns true for a page, or an answer to `?after=`: these end, and later events are
    /// elsewhere.
    pub(crate) fn is_no_head(&self) -> bool {
        self.archive || self.cursor.is_some() && self.links.iter().any(|link| link.rel == "current")
    }

    /// Drops what comes after `end`, which is at one of the entries.
    pub(crate) fn end_at(&mut self, end: &Cursor) {
        self.entries
            .retain(|entry| entry.sequence <= Some(end.sequence));
        if let Some(omitted) = &mut self.omitted {
            omitted
                .events
                .retain(|range| *range.start() <= end.sequence);
        }
        self.cursor = Some(end.clone());
    }

    /// Returns true if it may omit events of `share`, or of all partitions if that is `None`.
    pub(super) fn omits_of(&self, share: Option<Partitions>) -> bool {
        let omitted = self.omitted.as_ref();
        omitted.is_some_and(|omitted| !share.is_some_and(|share| omitted.share.include(share)))
    }

    fn omitted_events(&self) -> &[RangeInclusive<Sequence>] {
        self.omitted.as_ref().map_or(&[], |omitted| &omitted.events)
    }

    /// Returns the sequence of the first event, which may be one that is left out.
    pub(crate) fn first(&self) -> Option<Sequence> {
        let entry = self.entries.first().and_then(|entry| entry.sequence);
        let omitted = self.omitted_events().first().map(|range| *range.start());
        entry.into_iter().chain(omitted).min()
    }

    /// Returns the entry with that sequence.
    pub(crate) fn at(&self, sequence: Sequence) -> Option<&FoundEntry> {
        self.entries
            .iter()
            .find(|entry| entry.sequence == Some(sequence))
    }

    /// Returns when the oldest event after `sequence` was published.
    pub(crate) fn oldest_after(&self, sequence: Sequence) -> Option<DateTime<Utc>> {
        let new = |entry: &&FoundEntry| entry.sequence > Some(sequence);
        self.entries
            .iter()
            .filter(new)
            .map(|entry| entry.updated)
            .min()
    }

    /// Returns the target of the first link with that relation and media type; without one, of the first that is not said to
    /// be something else than a feed, such as a web page.
    pub(crate) fn link(
        &self,
        rel: &str,
        media_type: Option<&str>,
    ) -> Result<Option<Url>, RefusedLink> {
        let mut links = self.links.iter().filter(|link| link.rel == rel);
        let is_of = |link: &&Link, types: &[&str]| {
            let own = link.media_type.as_deref().map(essence);
            own.is_some_and(|own| types.contains(&own.as_str()))
        };
        let link = match media_type {
            Some(wanted) => links.find(|link| is_of(link, &[wanted])),
            None => {
                let feeds = |link: &&Link| link.media_type.is_none() || is_of(link, &FEEDS);
                links.find(feeds)
            }
        };
        link.map(|link| {
            let base = link.base.as_deref();
            self.resolve(&link.href, base.as_slice())
        })
        .transpose()
    }

    /// Resolves a link of this document, in an element below those with these `xml:base`s.
    pub(crate) fn resolve(&self, href: &str, bases: &[&str]) -> Result<Url, RefusedLink> {
        let bases: Vec<&str> = self
            .base
            .as_deref()
            .into_iter()
            .chain(bases.iter().copied())
            .collect();
        resolve(href, &bases, self.own.as_ref(), &self.read_from)
    }
}

/// Returns true for an entry that was deleted at or after its last change (RFC 6721, section 3).
pub(super) fn is_deleted(entry: &FoundEntry, deleted: &HashMap<String, DateTime<Utc>>) -> bool {
    let when = deleted.get(&entry.id);
    when.is_some_and(|when| *when >= entry.updated)
}

impl Omitted {
    /// Parses partitions, and ascending ranges of sequences, such as `1-3 5`.
    fn read(share: &str, events: &str) -> Result<Self, InvalidDocument> {
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = first.parse().ok()?..=last.parse().ok()?;
            (*range.start() > 0 && *range.end() <= LAST_SEQUENCE && !range.is_empty())
                .then_some(range)
        };
        let events = events.split_ascii_whitespace();
        if events.clone().nth(MOST_PARTS).is_some() {
            return Err(InvalidDocument::TooManyParts);
        }
        let events: Option<Vec<RangeInclusive<Sequence>>> = events.map(range).collect();
        let is_ascending = |events: &Vec<RangeInclusive<Sequence>>| {
            events
                .windows(2)
                .all(|pair| pair[0].end() < pair[1].start())
        };
        match (share.parse(), events.filter(is_ascending)) {
            (Ok(share), Some(events)) => Ok(Self { share, events }),
            _ => Err(InvalidDocument::Contradiction(
                "what it omits cannot be read".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
