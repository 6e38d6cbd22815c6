//! A first look at a document, before the parser sees it: refuses what the parser must not see,
//! and keeps what it would drop.

use std::collections::HashSet;
use std::ops::Range;

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event as Xml};
use quick_xml::{Reader, XmlVersion};

use super::document::InvalidDocument;

/// The deepest nesting we read. The parser calls itself for each level, and a document that is
/// deep enough would overflow the stack and take the process with it.
pub(super) const DEEPEST: usize = 64;

/// Elements and their attributes that we read, without those of contents. The parser makes of each up
/// to a kilobyte, and 16 MiB of `<entry/>` would be two gigabytes (I11). An entry of ours has 17.
pub(super) const MOST_PARTS: usize = 100_000;

/// What the first look has found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// (prefix, namespace), wherever in the document they are declared.
    pub(super) prefixes: HashSet<(String, String)>,
    /// One for each entry, in the document's order.
    pub(super) entries: Vec<ScannedEntry>,
    parts: usize,
    /// Where we are: in an entry, and in its content.
    in_entry: bool,
    in_content: bool,
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
    // No XML has it, and no database; the parser lets it pass.
    if body.contains(&0) {
        return Err(InvalidDocument::Zero);
    }
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
            Xml::Empty(element) => {
                scan.enter(&element, depth + 1, position(&reader));
                scan.leave(depth + 1, position(&reader));
            }
            Xml::End(_) => {
                scan.leave(depth, begin);
                depth -= 1;
            }
            Xml::DocType(_) => return Err(InvalidDocument::DocumentType),
            Xml::Eof => return Ok(scan),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(InvalidDocument::TooDeep);
        }
        if scan.parts > MOST_PARTS {
            return Err(InvalidDocument::TooManyParts);
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

impl Scan {
    fn enter(&mut self, element: &BytesStart<'_>, depth: usize, inside: usize) {
        let mut base = None;
        let mut parts = 1;
        for attribute in element.attributes().with_checks(false).flatten() {
            parts += 1;
            match attribute.key.as_ref() {
                b"xml:base" => base = Some(value(&attribute)),
                name => {
                    if let Some(prefix) = name.strip_prefix(b"xmlns:") {
                        let prefix = String::from_utf8_lossy(prefix).into_owned();
                        self.prefixes.insert((prefix, value(&attribute)));
                    }
                }
            }
        }
        if !self.in_content {
            self.parts += parts;
        }
        // By their whole names, as the parser knows them: `media:content` is something else.
        match (depth, element.name().as_ref()) {
            (2, b"entry") => {
                self.in_entry = true;
                self.entries.push(ScannedEntry {
                    base,
                    content: 0..0,
                });
            }
            (3, b"content") if self.in_entry => {
                self.in_content = true;
                if let Some(entry) = self.entries.last_mut() {
                    entry.content = inside..inside;
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self, depth: usize, end: usize) {
        match depth {
            2 => self.in_entry = false,
            3 if std::mem::take(&mut self.in_content) => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.content.end = end;
                }
            }
            _ => {}
        }
    }
}

/// What an attribute says, without its escapes.
fn value(attribute: &Attribute<'_>) -> String {
    match attribute.normalized_value(XmlVersion::default()) {
        Ok(value) => value.into_owned(),
        // Something that no parser could read.
        Err(_) => String::from_utf8_lossy(&attribute.value).into_owned(),
    }
}
