//! The addresses of the feed's documents. They come from the configured public base URL, never from
//! a request, whose `Host` the client chooses.

use url::Url;

use crate::cursor::{Cursor, Epoch};
use crate::event::{EventId, Sequence};
use crate::http::BaseUrl;
use crate::store::publish::Filter;

#[derive(Debug)]
pub(super) struct Addresses {
    base: BaseUrl,
    events: String,
}

impl Addresses {
    pub(super) fn new(base: BaseUrl) -> Self {
        let events = base.join("events/").into();
        Self { base, events }
    }

    pub(super) fn base_url(&self) -> &BaseUrl {
        &self.base
    }

    /// Returns the base URL of the service.
    pub(super) fn base(&self) -> &Url {
        self.base.url()
    }

    /// Returns the address of the head.
    pub(super) fn head(&self) -> Url {
        self.base.join("feed")
    }

    /// Returns the address of a page. It contains the epoch, so that no cache mixes two histories.
    pub(super) fn page(&self, epoch: &Epoch, page: i64) -> Url {
        self.base.join(&format!("feed/{epoch}/{page}"))
    }

    /// Returns the same page relative to `/feed`, for a redirect that works behind any prefix.
    pub(super) fn page_from_head(epoch: &Epoch, page: i64) -> String {
        format!("feed/{epoch}/{page}")
    }

    /// Returns the address of the batch document for the events from `first` to `last`.
    pub(super) fn batch(&self, epoch: &Epoch, first: Sequence, last: Sequence) -> Url {
        self.base
            .join(&format!("feed/{epoch}/batch/{first}-{last}"))
    }

    /// Returns the address of the events after `cursor` that match `filter`.
    pub(super) fn after(&self, filter: &Filter, cursor: &Cursor) -> Url {
        let mut url = self.filtered(filter, None);
        url.query_pairs_mut()
            .append_pair("after", &cursor.to_string());
        url
    }

    /// Returns the address of a filtered view, at its newest events or at those before `before`.
    pub(super) fn filtered(&self, filter: &Filter, before: Option<Sequence>) -> Url {
        let before = before.map(|before| before.to_string());
        let parameters = [
            ("type", &filter.event_type),
            ("subject", &filter.subject),
            ("before", &before),
        ];
        let mut url = self.head();
        for (name, value) in parameters {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    /// Returns the address of a page about a subject as text. A page of a hundred entries has two
    /// hundred addresses; parsing each would be most of its cost.
    pub(super) fn link_text(&self, link: &str) -> String {
        match is_plain(link) {
            true => format!("{}{link}", self.base()),
            false => self.link(link).into(),
        }
    }

    /// Returns the prefix of an event's address; the id follows.
    pub(super) fn events(&self) -> &str {
        &self.events
    }

    /// Returns the address of one event.
    pub(super) fn event(&self, id: EventId) -> Url {
        self.base.join(&format!("events/{id}"))
    }

    /// Returns the address of a page about a subject: an absolute `http:` or `https:` address, or
    /// one relative to the base URL.
    pub(super) fn link(&self, link: &str) -> Url {
        match Url::parse(link) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && link.contains("://") => url,
            _ => self.base.join(link),
        }
    }
}

/// Returns true for a relative link that can be appended to the base URL unchanged: names of
/// letters and digits, separated by single slashes.
fn is_plain(link: &str) -> bool {
    link.split('/').all(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_as_text_is_the_address() {
        for base in ["http://127.0.0.1:8081/", "https://shop.example/a/order/"] {
            let addresses = Addresses::new(base.parse().expect("a base URL"));
            let id = EventId::new();
            assert_eq!(
                format!("{}{id}", addresses.events()),
                addresses.event(id).as_str()
            );
            let odd = [
                "", "/", "/x", "x/", "a//b", "../x", "./x", "a b", "ä", "x?y#z",
            ];
            let full = [
                "http://other.example/x",
                "//other.example/",
                "mailto:x",
                "a:b",
            ];
            let whole = addresses.link("https://other.example/x?y");
            assert_eq!(whole.as_str(), "https://other.example/x?y");
            let script = addresses.link("javascript:alert(1)");
            assert!(script.as_str().starts_with(base), "{script}");
            let plain = ["order/17", "order", "a-b/C_d"];
            for link in [&odd[..], &full[..], &plain[..]].concat() {
                assert_eq!(
                    addresses.link_text(link),
                    addresses.link(link).as_str(),
                    "{link}"
                );
            }
        }
    }
}
