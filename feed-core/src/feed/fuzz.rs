//! Lets fuzzers parse a reader's preferences, and write a page with any text. It exists only in
//! tests and with the feature `fuzz`.

use axum::http::HeaderMap;
use chrono::DateTime;

use super::address::Addresses;
use super::atom;
use super::document::Document;
use super::prefer::{A_IM, LONGEST_WAIT, PREFER, accepts_delta, wait};
use crate::consumer;
use crate::cursor::Cursor;
use crate::event::{Entry, EventId, NewEvent};

/// Writes a page with `text` in place of every text of a publisher, and parses it again.
///
/// # Panics
///
/// Panics if a text has changed.
pub fn page(text: &str) {
    let base = "http://order:8081/order/".parse::<crate::http::BaseUrl>();
    let base = base.expect("a base URL");
    let event = NewEvent::new(text, text, "{}");
    let time = DateTime::UNIX_EPOCH;
    let entry = Entry {
        id: EventId(uuid::Uuid::from_u128(1)),
        sequence: 1,
        event_type: event.event_type.clone(),
        subject: event.subject.clone(),
        time,
        updated: time,
        title: text.to_owned(),
        summary: text.to_owned(),
        link: text.to_owned(),
    };
    let document = Document {
        id: entry.id.urn(),
        title: text.into(),
        subtitle: Some(text),
        author: text,
        updated: time,
        cursor: Cursor {
            epoch: "abcdefgh".parse().expect("an epoch"),
            sequence: 1,
            anchor: Some(entry.id),
        },
        links: Vec::new(),
        filter: None,
        archive: false,
        omitted: None,
        events: &[],
        entries: std::slice::from_ref(&entry),
    };
    let bytes = atom::write(&document, &Addresses::new(base));
    let written = std::str::from_utf8(&bytes).expect("UTF-8");
    let tree = roxmltree::Document::parse(written).expect("well-formed");
    let holds = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        _ => c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'),
    };
    let expected = text.replace(|c| !holds(c), "\u{FFFD}");
    for name in ["title", "subtitle", "summary", "name", "subject"] {
        let mut found = tree
            .descendants()
            .filter(|node| node.tag_name().name() == name);
        assert!(
            found.all(|node| node.text().unwrap_or_default() == expected),
            "{name}"
        );
    }
    // Text that the outbox rejects may be parsed differently; all other text must be unchanged.
    if text.len() <= crate::event::LONGEST_NAME {
        let found = consumer::fuzz::names(&bytes).expect("a page");
        if event.check_texts().is_ok() {
            assert_eq!(found, [(expected.clone(), expected)]);
        }
    }
}

/// Parses the preferences of a request.
///
/// # Panics
///
/// Panics if a result violates an invariant.
pub fn preferences(headers: &HeaderMap) {
    if let Some(wait) = wait(headers) {
        assert!(headers.contains_key(PREFER), "a wait that nobody asked for");
        assert!(wait.as_secs() <= LONGEST_WAIT);
    }
    if accepts_delta(headers) {
        let mut values = headers.get_all(A_IM).iter();
        let named = values.any(|value| {
            let lower = value.as_bytes().to_ascii_lowercase();
            lower.windows(4).any(|four| four == b"feed")
        });
        assert!(named, "a delta that nobody asked for");
    }
}
