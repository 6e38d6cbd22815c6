//! Writes a document as Atom (RFC 4287). It escapes every text with [`escape`], writes metadata
//! before entries, and includes every required element.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::address::Addresses;
use super::cloudevents::data;
use super::document::{Document, Link};
use super::timestamp::{push_timestamp, timestamp};
use crate::event::{Entry, Event, EventId};
use crate::http::NAMESPACE;

/// The approximate size of an entry, so that the buffer of a page need not grow.
const ENTRY_BYTES: usize = 1_024;

pub(super) fn write(document: &Document<'_>, addresses: &Addresses) -> Bytes {
    let data: usize = document.events.iter().map(|event| event.data.len()).sum();
    let entries = document.newest_first().len() + 2;
    let mut out = String::with_capacity(entries * ENTRY_BYTES + data / 3 * 4);
    out.push_str(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"",
    );
    if document.archive {
        out.push_str(" xmlns:fh=\"http://purl.org/syndication/history/1.0\"");
    }
    attribute(&mut out, "xmlns:event", NAMESPACE);
    out.push_str(">\n");
    element(&mut out, "id", &document.id);
    element(&mut out, "title", &document.title);
    if let Some(subtitle) = document.subtitle.filter(|_| !document.archive) {
        element(&mut out, "subtitle", subtitle);
    }
    element(&mut out, "updated", &timestamp(document.updated));
    out.push_str("<author>");
    text_element(&mut out, "name", document.author);
    out.push_str("</author>\n");
    for each in &document.links {
        link(&mut out, each);
    }
    if document.archive {
        out.push_str("<fh:archive/>\n");
    }
    element(&mut out, "event:epoch", document.cursor.epoch.as_str());
    element(&mut out, "event:cursor", &document.cursor.to_string());
    if let Some(omitted) = &document.omitted {
        let ranges = omitted
            .events
            .iter()
            .map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            });
        out.push_str("<event:omitted");
        attribute(&mut out, "partitions", &omitted.share.to_string());
        out.push('>');
        out.push_str(&ranges.collect::<Vec<_>>().join(" "));
        out.push_str("</event:omitted>\n");
    }
    for (each, event) in document.newest_first() {
        entry(&mut out, each, event, addresses);
    }
    out.push_str("</feed>\n");
    out.into()
}

fn entry(out: &mut String, entry: &Entry, event: Option<&Event>, addresses: &Addresses) {
    out.push_str("<entry>\n");
    out.push_str("<id>urn:uuid:");
    push_id(out, entry.id);
    out.push_str("</id>\n");
    element(out, "title", &entry.title);
    out.push_str("<updated>");
    push_timestamp(out, entry.updated);
    out.push_str("</updated>\n<published>");
    push_timestamp(out, entry.time);
    out.push_str("</published>\n");
    out.push_str("<category");
    attribute(out, "scheme", NAMESPACE);
    attribute(out, "term", &entry.event_type);
    out.push_str("/>\n<link rel=\"alternate\" type=\"text/html\"");
    attribute(out, "href", &addresses.link_text(&entry.link));
    out.push_str("/>\n");
    element(out, "summary", &entry.summary);
    out.push_str("<content type=\"application/json\"");
    match event.filter(|event| data(event).is_some()) {
        // JSON is neither text nor XML (RFC 4287, 4.1.3.3).
        Some(event) => {
            out.push('>');
            BASE64.encode_string(&event.data, out);
            out.push_str("</content>\n");
            if let Some(traceparent) = &event.traceparent {
                element(out, "event:traceparent", traceparent);
            }
        }
        None => {
            out.push_str(" src=\"");
            escape(out, addresses.events());
            push_id(out, entry.id);
            out.push_str("\"/>\n");
        }
    }
    out.push_str("<event:sequence>");
    let _ = write!(out, "{}", entry.sequence);
    out.push_str("</event:sequence>\n");
    element(out, "event:subject", &entry.subject);
    out.push_str("</entry>\n");
}

fn link(out: &mut String, link: &Link) {
    out.push_str("<link");
    attribute(out, "rel", link.rel);
    if let Some(media_type) = link.media_type {
        attribute(out, "type", media_type);
    }
    attribute(out, "href", link.href.as_str());
    out.push_str("/>\n");
}

fn element(out: &mut String, name: &str, text: &str) {
    text_element(out, name, text);
    out.push('\n');
}

fn text_element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    escape(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}

/// Escapes `text` for elements and attributes, so that a parser returns it unchanged. Characters
/// that XML 1.0 cannot represent (section 2.2) become U+FFFD.
fn escape(out: &mut String, mut text: &str) {
    // Most text needs no escaping and is copied as a whole: a loop without branches checks many
    // bytes at a time. U+FFFE and U+FFFF begin with 0xEF; other characters with that byte take the
    // slow path.
    if !text.bytes().fold(false, |any, byte| any | needs_care(byte)) {
        out.push_str(text);
        return;
    }
    while let Some(odd) = text.bytes().position(needs_care) {
        let (plain, rest) = text.split_at(odd);
        out.push_str(plain);
        let length = rest.chars().next().map_or(1, char::len_utf8);
        let (one, rest) = rest.split_at(length);
        escape_characters(out, one);
        text = rest;
    }
    out.push_str(text);
}

/// Returns true if a reader gets `text` unchanged as the text of an element: no character of it is
/// replaced, and no white space is around it, which readers take away.
pub(super) fn keeps(text: &str) -> bool {
    let is_replaced = |character| {
        matches!(character, '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
            && !matches!(character, '\t' | '\n' | '\r')
    };
    !text.is_empty() && text.trim_ascii() == text && !text.contains(is_replaced)
}

fn needs_care(byte: u8) -> bool {
    // No `||`: see above.
    (byte == b'&')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'"')
        | (byte < 0x20)
        | (byte == 0xEF)
}

fn escape_characters(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would convert these to a space or a line feed.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => out.push(char::REPLACEMENT_CHARACTER),
            other => out.push(other),
        }
    }
}

fn push_id(out: &mut String, id: EventId) {
    let mut buffer = uuid::Uuid::encode_buffer();
    out.push_str(id.0.hyphenated().encode_lower(&mut buffer));
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::event::{LAST_SEQUENCE, LONGEST_NAME, LONGEST_TEXT};
    use crate::feed::FeedSettings;

    /// A head has at most one entry less than two pages.
    #[test]
    fn a_head_of_the_longest_entries_is_an_answer_that_a_consumer_takes() {
        let text = "\"".repeat(LONGEST_TEXT.max(LONGEST_NAME));
        let longest = Entry {
            id: EventId::new(),
            sequence: LAST_SEQUENCE,
            event_type: text.clone(),
            subject: text.clone(),
            time: DateTime::UNIX_EPOCH,
            updated: DateTime::UNIX_EPOCH,
            title: text.clone(),
            summary: text.clone(),
            link: text,
        };
        let base = "https://shop.example/order/".parse().expect("a base URL");
        let mut out = String::new();
        entry(&mut out, &longest, None, &Addresses::new(base));
        let entries = 2 * FeedSettings::PAGE_SIZE as usize - 1;
        assert!(entries * out.len() < 15 * 1024 * 1024, "{}", out.len());
    }

    #[test]
    fn no_text_breaks_out_of_its_element() {
        let mut out = String::new();
        escape(&mut out, "a]]><b>\"&'\u{0}\u{1F}\u{FFFE}\r\n\t😀");
        assert_eq!(
            out,
            "a]]&gt;&lt;b&gt;&quot;&amp;'\u{FFFD}\u{FFFD}\u{FFFD}&#13;&#10;&#9;😀"
        );
    }
}
