//! Lets the workspace's benchmarks write a page as the feed does, without a database and a cache.
//! It exists only with the feature `bench`.

use bytes::Bytes;
use chrono::{TimeDelta, Utc};

use super::address::Addresses;
use super::atom;
use super::document::{Document, Link};
use crate::cursor::{Cursor, Epoch};
use crate::event::{Entry, EventId};
use crate::http::BaseUrl;

/// A page to write repeatedly.
#[derive(Debug)]
pub struct Page {
    addresses: Addresses,
    epoch: Epoch,
    entries: Vec<Entry>,
}

impl Page {
    /// Creates a page with so many entries like those of the order service.
    #[must_use]
    pub fn of(entries: i64, base: BaseUrl) -> Self {
        let begin = Utc::now();
        let entry = |n| Entry {
            id: EventId::new(),
            sequence: n,
            event_type: "order.placed".to_owned(),
            subject: format!("order/{n}"),
            time: begin + TimeDelta::milliseconds(n),
            updated: begin + TimeDelta::milliseconds(n),
            title: format!("Order {n} placed: 2 lines, 184.00 EUR"),
            summary: format!("Order {n} was placed with 2 lines for a total of 184.00 EUR."),
            link: format!("order/{n}"),
        };
        Self {
            addresses: Addresses::new(base),
            epoch: Epoch::random(),
            entries: (1..=entries).map(entry).collect(),
        }
    }

    /// Returns its bytes.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let (first, last) = (1, self.entries.len() as i64);
        let cursor = Cursor {
            epoch: self.epoch,
            sequence: last,
            anchor: self.entries.last().map(|entry| entry.id),
        };
        let page = |rel, n| Link::feed(rel, self.addresses.page(&self.epoch, n));
        let document = Document {
            id: EventId(uuid::Uuid::nil()).urn(),
            title: "Orders".into(),
            subtitle: None,
            author: "Shop",
            updated: self
                .entries
                .last()
                .map_or_else(Utc::now, |entry| entry.updated),
            cursor,
            links: vec![
                page("self", 2),
                Link::feed("current", self.addresses.head()),
                page("prev-archive", 1),
                page("next-archive", 3),
                Link {
                    rel: "related",
                    href: self.addresses.batch(&self.epoch, first, last),
                    media_type: Some(super::document::BATCH),
                },
            ],
            filter: None,
            archive: true,
            omitted: None,
            events: &[],
            entries: &self.entries,
        };
        atom::write(&document, &self.addresses)
    }
}
