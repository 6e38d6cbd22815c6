//! A first look at a document, before the parser sees it: refuses what the parser must not see,
//! and keeps what it would drop.

use std::collections::HashSet;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};

use super::document::InvalidDocument;

/// The deepest nesting we read. The parser calls itself for each level, and a document that is
/// deep enough would overflow the stack and take the process with it.
pub(super) const DEEPEST: usize = 64;

/// What the first look has found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// (prefix, namespace), wherever in the document they are declared.
    pub(super) prefixes: HashSet<(String, String)>,
    /// One for each entry, in the document's order.
    pub(super) entries: Vec<ScannedEntry>,
}

/// What the parser does not tell of an entry.
#[derive(Debug, Default)]
pub(super) struct ScannedEntry {
    /// Its `xml:base`.
    pub(super) base: Option<String>,
    /// Where what stands in its `content` is, as it was written: elements lose their escapes in
    /// the parser.
    pub(super) content: Range<usize>,
}

/// Looks through a document.
pub(super) fn scan(body: &[u8]) -> Result<Scan, InvalidDocument> {
    let mut reader = Reader::from_reader(body);
    let mut scan = Scan::default();
    let mut depth = 0;
    loop {
        let begin = position(&reader);
        match reader.read_event().map_err(InvalidDocument::Xml)? {
            Xml::Start(element) => {
                depth += 1;
                scan.enter(&element, depth, position(&reader));
            }
            Xml::Empty(element) => scan.enter(&element, depth + 1, position(&reader)),
            Xml::End(element) => {
                if depth == 3
                    && element.local_name().as_ref() == b"content"
                    && let Some(entry) = scan.entries.last_mut()
                {
                    entry.content.end = begin;
                }
                depth -= 1;
            }
            Xml::DocType(_) => return Err(InvalidDocument::DocumentType),
            Xml::Eof => return Ok(scan),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(InvalidDocument::TooDeep);
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

impl Scan {
    fn enter(&mut self, element: &BytesStart<'_>, depth: usize, inside: usize) {
        let mut base = None;
        for attribute in element.attributes().with_checks(false).flatten() {
            let text = || String::from_utf8_lossy(&attribute.value).into_owned();
            match attribute.key.as_ref() {
                b"xml:base" => base = Some(text()),
                name => {
                    if let Some(prefix) = name.strip_prefix(b"xmlns:") {
                        let prefix = String::from_utf8_lossy(prefix).into_owned();
                        self.prefixes.insert((prefix, text()));
                    }
                }
            }
        }
        match (depth, element.local_name().as_ref()) {
            (2, b"entry") => self.entries.push(ScannedEntry {
                base,
                content: 0..0,
            }),
            (3, b"content") => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.content = inside..inside;
                }
            }
            _ => {}
        }
    }
}
