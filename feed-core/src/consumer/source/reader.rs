//! Parses an Atom document in one pass, by namespaces whatever their prefixes, within bounds. Keeps
//! what a consumer needs; `document` interprets it.

use std::collections::{HashMap, HashSet};
use std::str;

use atom_syndication::Content;
use chrono::{DateTime, Utc};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event as Xml};
use quick_xml::name::{Namespace, PrefixDeclaration, ResolveResult};
use quick_xml::{Error as XmlError, NsReader};

use super::date;
use super::entry::{DEEPEST, ENTRY_PARTS, FoundEntry, InvalidDocument, MOST_PARTS};
use crate::event::{LAST_SEQUENCE, is_traceparent};
use crate::http::NAMESPACE;

/// RFC 4287.
const ATOM: &str = "http://www.w3.org/2005/Atom";

/// RFC 5005.
const HISTORY: &str = "http://purl.org/syndication/history/1.0";

/// RFC 6721.
const TOMBSTONES: &str = "http://purl.org/atompub/tombstones/1.0";

/// White space by XML 1.0, section 2.3. It may surround an IRI or a date and is not part of it (RFC
/// 4287, section 2).
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Registered relations may be written as IRIs (RFC 4287, 4.2.7.2).
const RELATIONS: &str = "http://www.iana.org/assignments/relation/";

/// A link of a document.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) href: String,
    /// The name of a registered relation, or another IRI; in lower case.
    pub(crate) rel: String,
    pub(crate) media_type: Option<String>,
    /// Its `xml:base`.
    pub(crate) base: Option<String>,
}

/// The content of a document.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Its `xml:base`.
    pub(crate) base: Option<String>,
    pub(crate) links: Vec<Link>,
    /// True if it has `fh:archive`.
    pub(crate) archive: bool,
    /// True if it has `fh:complete`.
    pub(crate) complete: bool,
    /// The text of feed-core's cursor element.
    pub(crate) cursor: Option<String>,
    /// The partitions that the document is for, and the events of others that are left out, as text.
    pub(crate) omitted: Option<(String, String)>,
    /// When the entries with these ids were deleted.
    pub(crate) deleted: HashMap<String, DateTime<Utc>>,
    /// In document order.
    pub(crate) entries: Vec<FoundEntry>,
}

/// Parses the text of a document.
pub(crate) fn read(text: &str) -> Result<Feed, InvalidDocument> {
    // XML forbids it and no database can store it; the parser accepts it.
    if text.contains('\0') {
        return Err(InvalidDocument::Zero);
    }
    let mut xml = NsReader::from_str(text);
    xml.config_mut().expand_empty_elements = true;
    let mut reader = Reader {
        text,
        xml,
        depth: 0,
        parts: 0,
    };
    let mut feed = None;
    loop {
        match reader.next()? {
            Xml::Start(root) if feed.is_none() => {
                let name = reader.name(&root)?;
                if name != (Vocabulary::Atom, b"feed") {
                    let name = String::from_utf8_lossy(root.name().as_ref()).into_owned();
                    return Err(InvalidDocument::NotAtom(
                        crate::consumer::sanitize::sanitize(&name),
                    ));
                }
                feed = Some(reader.feed(&root)?);
            }
            Xml::Start(_) => return Err(InvalidDocument::Outside),
            Xml::Text(outside) if !outside.iter().all(u8::is_ascii_whitespace) => {
                return Err(InvalidDocument::Outside);
            }
            Xml::CData(_) | Xml::GeneralRef(_) => return Err(InvalidDocument::Outside),
            Xml::Eof => return feed.ok_or(InvalidDocument::Outside),
            _ => {}
        }
    }
}

/// The namespace of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vocabulary {
    Atom,
    Ours,
    History,
    Tombstones,
    Other,
}

type Name<'a> = (Vocabulary, &'a [u8]);

struct Reader<'t> {
    text: &'t str,
    xml: NsReader<&'t [u8]>,
    depth: usize,
    parts: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Xml<'t>, InvalidDocument> {
        let event = self.xml.read_event().map_err(InvalidDocument::Xml)?;
        match &event {
            Xml::Start(element) => {
                check_attributes(element)?;
                self.depth += 1;
            }
            Xml::End(_) => self.depth = self.depth.saturating_sub(1),
            // Entities could expand without bound.
            Xml::DocType(_) => return Err(InvalidDocument::DocumentType),
            Xml::Eof if self.depth > 0 => return Err(InvalidDocument::Cut),
            _ => {}
        }
        match self.depth > DEEPEST {
            true => Err(InvalidDocument::TooDeep),
            false => Ok(event),
        }
    }

    fn name<'e>(&self, element: &'e BytesStart<'_>) -> Result<Name<'e>, InvalidDocument> {
        let (namespace, name) = self.xml.resolver().resolve_element(element.name());
        let vocabulary = match namespace {
            ResolveResult::Bound(Namespace(uri)) => match str::from_utf8(uri).unwrap_or_default() {
                ATOM => Vocabulary::Atom,
                NAMESPACE => Vocabulary::Ours,
                HISTORY => Vocabulary::History,
                TOMBSTONES => Vocabulary::Tombstones,
                _ => Vocabulary::Other,
            },
            ResolveResult::Unbound => Vocabulary::Other,
            // Reject an undeclared prefix: an `atom:entry` with one would make a feed without
            // entries.
            ResolveResult::Unknown(prefix) => {
                let prefix = crate::consumer::sanitize::sanitize(&String::from_utf8_lossy(&prefix));
                return Err(InvalidDocument::Prefix(prefix));
            }
        };
        Ok((vocabulary, name.into_inner()))
    }

    /// Calls `child` for each element inside the current one; `child` reads it and its end tag.
    fn children(
        &mut self,
        mut child: impl FnMut(&mut Self, Name<'_>, &BytesStart<'t>) -> Result<(), InvalidDocument>,
    ) -> Result<(), InvalidDocument> {
        loop {
            match self.next()? {
                Xml::Start(element) => {
                    self.count(&element)?;
                    let name = self.name(&element)?;
                    child(self, name, &element)?;
                }
                Xml::End(_) => return Ok(()),
                _ => {}
            }
        }
    }

    fn count(&mut self, element: &BytesStart<'_>) -> Result<(), InvalidDocument> {
        self.take(1 + element.attributes().with_checks(false).count())
    }

    fn take(&mut self, parts: usize) -> Result<(), InvalidDocument> {
        self.parts += parts;
        match self.parts > MOST_PARTS {
            true => Err(InvalidDocument::TooManyParts),
            false => Ok(()),
        }
    }

    /// Reads up to the end tag of the current element.
    fn skip(&mut self) -> Result<(), InvalidDocument> {
        let outside = self.depth - 1;
        while self.depth > outside {
            if let Xml::Start(element) = self.next()? {
                self.count(&element)?;
            }
        }
        Ok(())
    }

    fn feed(&mut self, root: &BytesStart<'t>) -> Result<Feed, InvalidDocument> {
        let mut feed = Feed {
            base: attribute(root, "xml:base"),
            ..Feed::default()
        };
        self.children(|reader, name, element| {
            match name {
                (Vocabulary::Atom, b"entry") => {
                    reader.take(ENTRY_PARTS)?;
                    let mut entry = reader.entry(element)?;
                    entry.index = feed.entries.len();
                    feed.entries.push(entry);
                    return Ok(());
                }
                (Vocabulary::Ours, b"cursor") => {
                    feed.cursor = Some(reader.trimmed()?).filter(|text| !text.is_empty());
                    return Ok(());
                }
                (Vocabulary::Ours, b"omitted") => {
                    let share = attribute(element, "partitions").unwrap_or_default();
                    feed.omitted = Some((share, reader.trimmed()?));
                    return Ok(());
                }
                (Vocabulary::Atom, b"link") => feed.links.push(link(element)),
                (Vocabulary::History, b"archive") => feed.archive = true,
                (Vocabulary::History, b"complete") => feed.complete = true,
                (Vocabulary::Tombstones, b"deleted-entry") => {
                    if let Some((id, when)) = deleted(element) {
                        let last = feed.deleted.entry(id).or_insert(when);
                        *last = when.max(*last);
                    }
                }
                _ => {}
            }
            reader.skip()
        })?;
        Ok(feed)
    }

    fn entry(&mut self, element: &BytesStart<'t>) -> Result<FoundEntry, InvalidDocument> {
        let mut entry = FoundEntry {
            base: attribute(element, "xml:base"),
            ..FoundEntry::default()
        };
        let mut published = None;
        self.children(|reader, name, element| {
            match name {
                (Vocabulary::Atom, b"id") => entry.id = reader.trimmed()?,
                (Vocabulary::Atom, b"updated") => {
                    let text = reader.trimmed()?;
                    entry.updated = date(&text, &mut entry.unreadable);
                }
                (Vocabulary::Atom, b"published") => {
                    let text = reader.trimmed()?;
                    published = Some(date(&text, &mut entry.unreadable));
                }
                (Vocabulary::Atom, b"content") => {
                    entry.content = Some(reader.content(element, &mut entry.unreadable)?);
                }
                (Vocabulary::Atom, b"category") => {
                    let ours = attribute(element, "scheme").as_deref() == Some(NAMESPACE);
                    if ours && entry.event_type.is_none() {
                        entry.event_type = value(element, "term");
                    }
                    reader.skip()?;
                }
                (Vocabulary::Ours, b"subject") => {
                    entry.subject = Some(reader.trimmed()?).filter(|text| !text.is_empty());
                }
                (Vocabulary::Ours, b"traceparent") => {
                    entry.traceparent = Some(reader.trimmed()?).filter(|text| is_traceparent(text));
                }
                (Vocabulary::Ours, b"sequence") => {
                    let sequence = reader.trimmed()?.parse().ok();
                    entry.sequence = sequence.filter(|n| (1..=LAST_SEQUENCE).contains(n));
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        entry.published = published.unwrap_or(entry.updated);
        Ok(entry)
    }

    /// Returns the inside of a `content`: elements as they were written, with the namespaces that they use, or else its
    /// text (RFC 4287, 4.1.3.3).
    fn content(
        &mut self,
        element: &BytesStart<'t>,
        unreadable: &mut Option<String>,
    ) -> Result<Content, InvalidDocument> {
        let mut content = Content {
            base: attribute(element, "xml:base"),
            src: attribute(element, "src"),
            content_type: attribute(element, "type"),
            ..Content::default()
        };
        let (begin, outside) = (self.position(), self.depth - 1);
        let (mut end, mut text) = (begin, String::new());
        let (mut root, mut unprefixed) = (None, false);
        loop {
            let at = self.position();
            let event = self.next()?;
            if self.depth <= outside {
                break;
            }
            end = self.position();
            if let Xml::Start(element) = &event {
                unprefixed |= element.name().prefix().is_none();
                root.get_or_insert_with(|| (at, element.clone()));
            }
            if let Err(reason) = append(&mut text, &event).map_err(|error| error.to_string()) {
                *unreadable = Some(format!("the content cannot be read: {reason}"));
            }
        }
        if let Some((at, root)) = root {
            let whole = self.text;
            let part = |range| whole.get(range).unwrap_or_default();
            let declarations = self.declarations(&root, part(at..end), unprefixed)?;
            let name_end = at + 1 + root.name().as_ref().len();
            text = [part(begin..name_end), &declarations, part(name_end..end)].concat();
        }
        content.value = Some(text);
        Ok(content)
    }

    /// Returns declarations of the prefixes in `inside` that are declared in or around the current element, and not in `root`,
    /// the one inside of it: it would lose them. What is `unprefixed` in a feed that has no prefix itself is left as it is,
    /// since its writer did not mean elements of Atom.
    fn declarations(
        &mut self,
        root: &BytesStart<'_>,
        inside: &str,
        unprefixed: bool,
    ) -> Result<String, InvalidDocument> {
        let bindings: Vec<_> = self.xml.resolver().bindings().collect();
        let declared: HashSet<&[u8]> = bindings
            .iter()
            .filter_map(|(declared, _)| match declared {
                PrefixDeclaration::Default => None,
                PrefixDeclaration::Named(prefix) => Some(*prefix),
            })
            .collect();
        let used = before_colons(inside).map(str::as_bytes);
        let used: HashSet<&[u8]> = used.filter(|prefix| declared.contains(prefix)).collect();
        let mut declarations = String::new();
        for (declared, Namespace(uri)) in &bindings {
            let (used, name) = match declared {
                PrefixDeclaration::Default => {
                    let is_own = unprefixed && *uri != ATOM.as_bytes();
                    (is_own, "xmlns".to_owned())
                }
                PrefixDeclaration::Named(prefix) => (
                    used.contains(prefix),
                    format!("xmlns:{}", String::from_utf8_lossy(prefix)),
                ),
            };
            if used && value(root, &name).is_none() {
                let uri = String::from_utf8_lossy(uri);
                let quote = if uri.contains('"') { "'" } else { "\"" };
                declarations.extend([" ", &name, "=", quote, &uri, quote]);
            }
        }
        // A long declaration may be copied into each entry.
        self.take(bindings.len() + declarations.len() / size_of::<Link>())?;
        Ok(declarations)
    }

    /// Returns the text of an element that contains an IRI, a date or a name.
    fn trimmed(&mut self) -> Result<String, InvalidDocument> {
        let outside = self.depth - 1;
        let mut text = String::new();
        while self.depth > outside {
            let event = self.next()?;
            if self.depth == outside + 1 {
                append(&mut text, &event).map_err(InvalidDocument::Xml)?;
            }
        }
        Ok(text.trim_matches(SPACE).to_owned())
    }

    fn position(&self) -> usize {
        usize::try_from(self.xml.buffer_position()).unwrap_or(usize::MAX)
    }
}

/// Returns what may be a prefix: the name before each colon. Values have names as well, such as `xsi:type="xs:int"`, and only
/// the schema says which.
fn before_colons(text: &str) -> impl Iterator<Item = &str> {
    let is_in_name = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut parts = text.split(':');
    parts.next_back();
    parts.map(move |part| part.rsplit(|c| !is_in_name(c)).next().unwrap_or_default())
}

/// Appends the characters of an event.
fn append(text: &mut String, event: &Xml<'_>) -> Result<(), XmlError> {
    match event {
        Xml::Text(part) => text.push_str(&part.xml10_content()?),
        Xml::CData(part) => text.push_str(&part.xml10_content()?),
        Xml::GeneralRef(reference) => push_reference(text, reference)?,
        _ => {}
    }
    Ok(())
}

fn push_reference(text: &mut String, reference: &BytesRef<'_>) -> Result<(), XmlError> {
    let name = reference.decode()?;
    if let Some(character) = reference.resolve_char_ref()? {
        text.push(character);
    } else if let Some(known) = resolve_predefined_entity(&name) {
        text.push_str(known);
    } else {
        // An undeclared entity, such as one of HTML in unescaped text.
        text.extend(["&", &name, ";"]);
    }
    Ok(())
}

/// Parses a date in any form that feeds use. An invalid date makes only its entry unreadable.
fn date(text: &str, unreadable: &mut Option<String>) -> DateTime<Utc> {
    let date = date::parse(text);
    if date.is_none() && !text.is_empty() {
        let text = crate::consumer::sanitize::sanitize(text);
        *unreadable = Some(format!("its date {text:?} cannot be read"));
    }
    date.unwrap_or_default()
}

fn link(element: &BytesStart<'_>) -> Link {
    // Relations are compared without regard to case (RFC 8288, 2.1.1).
    let rel = attribute(element, "rel").map(|rel| rel.to_ascii_lowercase());
    let rel = rel.unwrap_or_else(|| "alternate".to_owned());
    Link {
        href: attribute(element, "href").unwrap_or_default(),
        rel: rel.strip_prefix(RELATIONS).unwrap_or(&rel).to_owned(),
        media_type: attribute(element, "type"),
        base: attribute(element, "xml:base"),
    }
}

/// Returns the id of a deleted entry, and when it was deleted. An unreadable element is ignored.
fn deleted(element: &BytesStart<'_>) -> Option<(String, DateTime<Utc>)> {
    let when = date::parse(&attribute(element, "when")?)?;
    Some((attribute(element, "ref")?, when))
}

/// Returns an error unless all attributes can be read: the parser passes over those that cannot, such
/// as the address of a content, which would then be empty. It accepts other documents that are not
/// well-formed, such as control characters and `]]>` in texts, and from these nothing is lost.
fn check_attributes(element: &BytesStart<'_>) -> Result<(), InvalidDocument> {
    let refused = |wrong| {
        let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
        let name = crate::consumer::sanitize::sanitize(&name);
        Err(InvalidDocument::Attribute(name, wrong))
    };
    let mut names = HashSet::new();
    // The parser's own check for doubles compares each with each.
    for attribute in element.attributes().with_checks(false) {
        let Ok(attribute) = attribute else {
            return refused("has no value in quotes");
        };
        if attribute.value.contains(&b'<') {
            return refused("has a `<` in it: is there a quote missing?");
        }
        if !names.insert(attribute.key) {
            return refused("is there twice");
        }
        if names.len() > MOST_PARTS {
            return Err(InvalidDocument::TooManyParts);
        }
    }
    Ok(())
}

/// Returns an attribute's value, without surrounding white space.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    Some(value(element, name)?.trim_matches(SPACE).to_owned())
}

/// Returns an attribute's unescaped value. Atom's own attributes have no prefix.
fn value(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found = attributes
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.as_ref() == name.as_bytes())?;
    Some(match found.normalized_value(XmlVersion::default()) {
        Ok(value) => value.into_owned(),
        // The parser cannot unescape it.
        Err(_) => String::from_utf8_lossy(&found.value).into_owned(),
    })
}
