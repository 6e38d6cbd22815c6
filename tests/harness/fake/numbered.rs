//! Our own feed format, served by the fake producer: correct, until a test replaces something.

use super::{Asked, Atom, Entry, Fake, Reply};

/// A feed of so many events, with pages of ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The epoch of the feed.
    pub epoch: String,
    /// The newest sequence.
    pub newest: i64,
}

/// The media type of a batch.
const BATCH: &str = "application/cloudevents-batch+json";

impl Numbered {
    /// Events of a page.
    pub const PAGE: i64 = 10;

    /// A feed of that many events.
    #[must_use]
    pub fn new(newest: i64) -> Self {
        Self {
            epoch: "fakefeed".to_owned(),
            newest,
        }
    }

    /// The `atom:id` of an event.
    #[must_use]
    pub fn id(sequence: i64) -> String {
        format!("urn:uuid:0192f0c1-e0d0-7b33-8000-{sequence:012x}")
    }

    /// The ids of all events up to that one.
    #[must_use]
    pub fn ids(newest: i64) -> Vec<String> {
        (1..=newest).map(Self::id).collect()
    }

    /// The data, different for each event.
    #[must_use]
    pub fn data(sequence: i64) -> String {
        format!("{{\"event\":{sequence}}}")
    }

    /// The cursor after an event.
    #[must_use]
    pub fn cursor(&self, sequence: i64) -> String {
        let anchor = match sequence {
            0 => "0".to_owned(),
            _ => Self::id(sequence)["urn:uuid:".len()..].replace('-', ""),
        };
        format!("{}.{sequence}.{anchor}", self.epoch)
    }

    /// The entry of an event.
    #[must_use]
    pub fn entry(sequence: i64) -> Entry {
        let number = u32::try_from(sequence).unwrap_or_default();
        Entry::new(&Self::id(sequence), &super::atom::date(number))
            .src(&format!("/events/{sequence}"))
            .with(&format!(
                "<event:sequence>{sequence}</event:sequence>\
                 <event:subject>order/{sequence}</event:subject>"
            ))
    }

    /// A document of these events, with the address of their batch.
    #[must_use]
    pub fn document(&self, first: i64, last: i64) -> Atom {
        let entries = (first..=last).rev().map(Self::entry);
        let document = Atom::ours(&self.cursor(last), entries);
        match first <= last {
            true => document.with(&format!(
                "<link rel=\"related\" type=\"{BATCH}\" href=\"/batch/{first}-{last}\"/>"
            )),
            false => document,
        }
    }

    /// A sealed page, as it is in the archive.
    #[must_use]
    pub fn page(&self, number: i64) -> Atom {
        let last = number * Self::PAGE;
        let page = self.document(last - Self::PAGE + 1, last);
        let page = page.archive().link("self", &self.address(number));
        let page = page.link("current", "/feed");
        let page = match number {
            1 => page,
            _ => page.link("prev-archive", &self.address(number - 1)),
        };
        match last + Self::PAGE <= self.newest {
            true => page.link("next-archive", &self.address(number + 1)),
            false => page,
        }
    }

    /// The address of a page.
    #[must_use]
    pub fn address(&self, number: i64) -> String {
        format!("/feed/{}/{number}", self.epoch)
    }

    /// The head: the open page, and the newest sealed one.
    #[must_use]
    pub fn head(&self) -> Atom {
        let before = (self.newest / Self::PAGE - 1).max(0);
        let head = self.document(before * Self::PAGE + 1, self.newest);
        let head = head.link("self", "/feed");
        match before {
            0 => head,
            _ => head.link("prev-archive", &self.address(before)),
        }
    }

    /// The tag of the head.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("W/\"{}-{}\"", self.epoch, self.newest)
    }

    /// Events with their data.
    #[must_use]
    pub fn batch(first: i64, last: i64) -> String {
        let event = |sequence| {
            let id = Self::id(sequence);
            let (id, data) = (&id["urn:uuid:".len()..], Self::data(sequence));
            format!(
                "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/\",\
                 \"type\":\"order.placed\",\"data\":{data}}}"
            )
        };
        let events: Vec<String> = (first..=last).map(event).collect();
        format!("[{}]", events.join(","))
    }

    /// Serves all of it, in place of what was there.
    pub fn serve(&self, fake: &Fake) {
        let feed = self.clone();
        fake.each("/feed", move |asked| feed.reply(asked));
        let feed = self.clone();
        fake.each("/feed/*", move |asked| {
            let number = asked.path().rsplit('/').next().and_then(|n| n.parse().ok());
            match number {
                Some(number) if (1..=feed.newest / Self::PAGE).contains(&number) => {
                    Reply::feed(feed.page(number).xml())
                }
                _ => Reply::status(404),
            }
        });
        fake.each("/batch/*", |asked| {
            let range = asked.path().rsplit('/').next().and_then(|range| {
                let (first, last) = range.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            });
            match range {
                Some((first, last)) => Reply::ok(BATCH, Self::batch(first, last)),
                None => Reply::status(404),
            }
        });
        fake.each("/events/*", |asked| {
            let sequence = asked.path().rsplit('/').next().and_then(|n| n.parse().ok());
            match sequence {
                Some(sequence) => Reply::ok("application/json", Self::data(sequence)),
                None => Reply::status(404),
            }
        });
    }

    /// `GET /feed`, with or without `?after=`.
    #[must_use]
    pub fn reply(&self, asked: &Asked) -> Reply {
        match asked.query("after") {
            Some(cursor) => self.after(cursor),
            None => self.answer(asked),
        }
    }

    /// `GET /feed`: a `304`, only what is new, or all of the head. It never waits.
    #[must_use]
    pub fn answer(&self, asked: &Asked) -> Reply {
        let seen = asked.header("if-none-match").unwrap_or_default();
        if seen == self.tag() {
            return Reply::status(304).header("etag", self.tag());
        }
        let known = seen
            .strip_prefix(&format!("W/\"{}-", self.epoch))
            .and_then(|rest| rest.strip_suffix('"')?.parse::<i64>().ok());
        match known {
            Some(known) if asked.header("a-im") == Some("feed") && self.shows(known) => {
                let news = self.document(known + 1, self.newest).link("self", "/feed");
                Reply::status(226)
                    .header("im", "feed")
                    .header("content-type", "application/atom+xml")
                    .header("etag", self.tag())
                    .body(news.xml())
            }
            _ => Reply::feed(self.head().xml()).header("etag", self.tag()),
        }
    }

    /// True if the head contains all events after this one.
    fn shows(&self, sequence: i64) -> bool {
        let first = (self.newest / Self::PAGE - 1).max(0) * Self::PAGE + 1;
        (first - 1..self.newest).contains(&sequence)
    }

    /// `GET /feed?after=`: the next document while catching up.
    fn after(&self, cursor: &str) -> Reply {
        let parts: Vec<&str> = cursor.split('.').collect();
        let seen = match parts.as_slice() {
            ["start"] => 0,
            [epoch, sequence, _] if *epoch == self.epoch => sequence.parse().unwrap_or(i64::MAX),
            _ => i64::MAX,
        };
        if seen > self.newest {
            return Reply::status(410)
                .header("content-type", "application/problem+json")
                .body("{\"detail\":\"this cursor is of another history\"}");
        }
        let page = seen / Self::PAGE + 1;
        if page * Self::PAGE <= self.newest {
            return Reply::redirect(303, &self.address(page));
        }
        let rest = self.document(seen + 1, self.newest);
        Reply::feed(rest.link("current", "/feed").xml())
    }
}
