//! Lets fuzzers parse a server's answer as a consumer does, and checks what must hold for any
//! input. It exists only in tests and with the feature `fuzz`.

use axum::http::{HeaderMap, header};
use roxmltree::{Node, ParsingOptions};
use url::Url;

use super::progress::position::{discontinuity, position_after};
use super::source::answer::problem_detail;
use super::source::charset::decode;
use super::source::content::inline;
use super::source::document::Document;
use super::source::freshness::{LONGEST_FRESH, fresh};
use super::source::header::{LONGEST_RETRY_AFTER, from_header, retry_after, to_header};
use crate::store::consume::Position;

const ATOM: &str = "http://www.w3.org/2005/Atom";

/// Parses a feed document. Returns the number of its entries, or `None` if it is rejected.
///
/// # Panics
///
/// Panics if the parsed document violates an invariant.
pub fn document(body: &[u8]) -> Option<usize> {
    let read_from = Url::parse("http://order:8081/order/feed").expect("a URL");
    let document = Document::read(body, None, read_from.clone()).ok()?;
    for (rel, media_type) in [
        ("prev-archive", None),
        ("next-archive", None),
        ("next", None),
        ("related", Some("application/cloudevents-batch+json")),
    ] {
        if let Ok(Some(url)) = document.link(rel, media_type) {
            assert_eq!(url.origin(), read_from.origin(), "a link leads astray");
        }
    }
    let _ = document.older();
    let mut before = None;
    for entry in &document.entries {
        assert!(!entry.id.is_empty(), "an event without an id");
        for text in [&entry.id, entry.subject()]
            .into_iter()
            .chain(entry.event_type.as_deref())
        {
            assert!(!text.contains('\0'), "no database holds that: {text:?}");
        }
        assert_eq!(entry.sequence.is_some(), document.cursor.is_some());
        if let (Some(before), Some(sequence)) = (before, entry.sequence) {
            assert_eq!(sequence, before + 1, "a hole");
        }
        before = entry.sequence;
        let Some(content) = &entry.content else {
            continue;
        };
        if let Some(src) = &content.src {
            let bases = [entry.base.as_deref(), content.base.as_deref()];
            let bases: Vec<&str> = bases.into_iter().flatten().collect();
            if let Ok(url) = document.resolve(src, &bases) {
                assert_eq!(url.origin(), read_from.origin(), "data from elsewhere");
            }
        }
        let _ = inline(content);
    }
    if let Some(end) = &document.cursor {
        assert!(before.is_none_or(|last| last == end.sequence));
        let at = position_after(&Position::default(), &document, end);
        assert_eq!(at.sequence, end.sequence);
        if !document.entries.is_empty() {
            assert_eq!(
                discontinuity(&at, &document, end),
                None,
                "it continues from itself"
            );
        }
    }
    agrees(body, &document);
    Some(document.entries.len())
}

/// Returns the type and the subject of each entry.
pub(crate) fn names(body: &[u8]) -> Option<Vec<(String, String)>> {
    document(body)?;
    let read_from = Url::parse("http://order:8081/order/feed").expect("a URL");
    let entries = Document::read(body, None, read_from)
        .ok()?
        .entries
        .into_iter();
    let names = entries.map(|entry| {
        let subject = entry.subject().to_owned();
        (entry.event_type.unwrap_or_default(), subject)
    });
    Some(names.collect())
}

/// Checks that another parser, if it accepts the document, finds the same content and base in the
/// same entries.
fn agrees(body: &[u8], document: &Document) {
    let Ok(text) = decode(body, None) else {
        return;
    };
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 100_000,
    };
    let Ok(tree) = roxmltree::Document::parse_with_options(&text, options) else {
        return;
    };
    let named = |node: &Node<'_, '_>, name: &str| {
        node.tag_name().namespace() == Some(ATOM) && node.tag_name().name() == name
    };
    let trimmed = |text: &str| text.trim_matches([' ', '\t', '\r', '\n']).to_owned();
    let root = tree.root_element();
    assert!(named(&root, "feed"), "the root element is another one");
    let entries: Vec<Node<'_, '_>> = root
        .children()
        .filter(|node| named(node, "entry"))
        .collect();
    for found in &document.entries {
        // If an id occurs twice, the entry meant is ambiguous.
        let mut same = entries.iter().filter(|entry| {
            let mut ids = entry.children().filter(|node| named(node, "id"));
            let (Some(id), None) = (ids.next(), ids.next()) else {
                return false;
            };
            id.children().count() == 1 && id.text().map(trimmed).as_deref() == Some(&found.id)
        });
        let (Some(entry), None) = (same.next(), same.next()) else {
            continue;
        };
        let base = entry.attribute(("http://www.w3.org/XML/1998/namespace", "base"));
        assert_eq!(found.base, base.map(trimmed), "the base of {}", found.id);
        let mut contents = entry.children().filter(|node| named(node, "content"));
        let (Some(read), Some(content), None) = (&found.content, contents.next(), contents.next())
        else {
            continue;
        };
        let (Some(first), Some(last)) = (content.first_child(), content.last_child()) else {
            assert_eq!(read.value(), Some(""), "nothing stands in {}", found.id);
            continue;
        };
        if content.children().any(|node| node.is_element()) {
            let inside = &text[first.range().start..last.range().end];
            assert_eq!(read.value(), Some(inside), "what stands in {}", found.id);
        } else if found.unreadable.is_none() {
            let inside: String = content.children().filter_map(|node| node.text()).collect();
            assert_eq!(
                read.value(),
                Some(inside.as_str()),
                "the text of {}",
                found.id
            );
        }
    }
}

/// Parses what headers and body contain besides a document.
///
/// # Panics
///
/// Panics if a result violates an invariant.
pub fn answer(headers: &HeaderMap, body: &[u8]) {
    assert!(fresh(headers) <= LONGEST_FRESH);
    assert!(retry_after(headers).is_none_or(|wait| wait <= LONGEST_RETRY_AFTER));
    for name in [header::ETAG, header::LAST_MODIFIED] {
        if let Some(value) = headers.get(name) {
            let again = to_header(&from_header(value));
            assert_eq!(again.as_ref(), Some(value), "a tag goes back as it came");
        }
    }
    if let Some(detail) = problem_detail(body) {
        assert!(detail.chars().count() <= 502, "a detail has an end");
        assert!(!detail.contains(char::is_control), "{detail:?}");
    }
}
