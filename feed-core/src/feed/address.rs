//! Where each document of the feed is. Addresses come from the configured public base URL, never
//! from a request: a request's `Host` is whatever its sender wrote there.

use url::Url;

use crate::cursor::{Cursor, Epoch};
use crate::event::{EventId, Sequence};
use crate::service::BaseUrl;
use crate::store::publish::Filter;

#[derive(Debug)]
pub(super) struct Addresses {
    base: BaseUrl,
}

impl Addresses {
    pub(super) fn new(base: BaseUrl) -> Self {
        Self { base }
    }

    pub(super) fn base_url(&self) -> &BaseUrl {
        &self.base
    }

    /// The service itself; the `source` of its events.
    pub(super) fn base(&self) -> &Url {
        self.base.url()
    }

    /// The subscription document.
    pub(super) fn head(&self) -> Url {
        self.base.join("feed")
    }

    /// A page. It contains the epoch, so that no cache mixes two histories.
    pub(super) fn page(&self, epoch: &Epoch, page: i64) -> Url {
        self.base.join(&format!("feed/{epoch}/{page}"))
    }

    /// The same page from `/feed`, for a redirect that holds behind any prefix.
    pub(super) fn page_from_head(epoch: &Epoch, page: i64) -> String {
        format!("feed/{epoch}/{page}")
    }

    /// The events from `first` to `last` with their data.
    pub(super) fn batch(&self, epoch: &Epoch, first: Sequence, last: Sequence) -> Url {
        self.base
            .join(&format!("feed/{epoch}/batch/{first}-{last}"))
    }

    /// The way forward from `cursor`.
    pub(super) fn after(&self, cursor: &Cursor) -> Url {
        let mut url = self.head();
        url.query_pairs_mut()
            .append_pair("after", &cursor.to_string());
        url
    }

    /// A filtered view, at its newest events or at those before `before`.
    pub(super) fn filtered(&self, filter: &Filter, before: Option<Sequence>) -> Url {
        let mut url = self.head();
        let mut query = url.query_pairs_mut();
        if let Some(event_type) = &filter.event_type {
            query.append_pair("type", event_type);
        }
        if let Some(subject) = &filter.subject {
            query.append_pair("subject", subject);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        drop(query);
        url
    }

    /// One event.
    pub(super) fn event(&self, id: EventId) -> Url {
        self.base.join(&format!("events/{id}"))
    }

    /// A page about a subject, from a link relative to the base URL.
    pub(super) fn link(&self, link: &str) -> Url {
        self.base.join(link)
    }
}
