//! Writes a document as Atom (RFC 4287). Right by construction: every text goes through
//! [`escape`], metadata comes before entries, and nothing is left out that the RFC asks for.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use super::address::Addresses;
use super::document::{Document, Link};
use crate::event::Entry;
use crate::namespace::NAMESPACE;

/// About what an entry takes, so that a page is written without growing its buffer.
const ENTRY_BYTES: usize = 1_024;

pub(super) fn write(document: &Document<'_>, addresses: &Addresses) -> Bytes {
    let mut out = String::with_capacity((document.entries.len() + 2) * ENTRY_BYTES);
    out.push_str(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"",
    );
    if document.archive {
        out.push_str(" xmlns:fh=\"http://purl.org/syndication/history/1.0\"");
    }
    attribute(&mut out, "xmlns:event", NAMESPACE);
    out.push_str(">\n");
    element(&mut out, "id", &document.id);
    element(&mut out, "title", document.title);
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
    for each in document.entries.iter().rev() {
        entry(&mut out, each, addresses);
    }
    out.push_str("</feed>\n");
    out.into()
}

fn entry(out: &mut String, entry: &Entry, addresses: &Addresses) {
    out.push_str("<entry>\n");
    element(out, "id", &entry.id.urn());
    element(out, "title", &entry.title);
    element(out, "updated", &timestamp(entry.updated));
    element(out, "published", &timestamp(entry.time));
    out.push_str("<category");
    attribute(out, "scheme", NAMESPACE);
    attribute(out, "term", &entry.event_type);
    out.push_str("/>\n<link rel=\"alternate\" type=\"text/html\"");
    attribute(out, "href", &addresses.link_text(&entry.link));
    out.push_str("/>\n");
    element(out, "summary", &entry.summary);
    out.push_str("<content type=\"application/json\"");
    attribute(out, "src", &addresses.event_text(entry.id));
    out.push_str("/>\n");
    element(out, "event:sequence", &entry.sequence.to_string());
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

/// Writes `text` so that it is read back as it was, in an element as in an attribute. Characters
/// that XML 1.0 cannot hold in any form (section 2.2) become U+FFFD.
fn escape(out: &mut String, mut text: &str) {
    // Most text has nothing to escape, and is copied as a whole. U+FFFE and U+FFFF begin with
    // 0xEF; other characters that do just take the slow way.
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

fn needs_care(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | 0..=0x1F | 0xEF)
}

fn escape_characters(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would turn these into a space or a line feed.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => out.push(char::REPLACEMENT_CHARACTER),
            other => out.push(other),
        }
    }
}

/// RFC 3339 in UTC; always milliseconds, so that the same instant is the same bytes.
pub(super) fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

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
