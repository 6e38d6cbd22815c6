//! A feed document as its XML says, without the tolerance of a consumer.

use std::collections::HashSet;

use chrono::DateTime;
use feed_core::http::NAMESPACE;
use quick_xml::Reader;
use quick_xml::events::Event;
use roxmltree::{NS_XML_URI, Node};
use url::Url;

const ATOM: &str = "http://www.w3.org/2005/Atom";
/// The deepest nesting of elements that is read.
const DEEPEST: u32 = 200;

/// Registered relations may be written as IRIs (RFC 4287, 4.2.7.2).
const RELATIONS: &str = "http://www.iana.org/assignments/relation/";

const HISTORY: &str = "http://purl.org/syndication/history/1.0";

/// The parts of a document that rules are about.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// What is wrong with its form, by RFC 4287.
    pub(super) faults: Vec<String>,
    /// Relation and target of its links.
    pub(super) links: Vec<(String, Url)>,
    pub(super) is_archive: bool,
    pub(super) cursor: Option<String>,
    /// In the order of the document.
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) updated: String,
    pub(super) sequence: Option<i64>,
    /// Where its content is, if it is elsewhere.
    pub(super) src: Option<Url>,
}

impl Document {
    /// Reads a document; `None` if it is no Atom feed at all.
    pub(super) fn read(text: &str, url: &Url) -> Result<Self, String> {
        check_depth(text)?;
        let xml =
            roxmltree::Document::parse(text).map_err(|error| format!("it is no XML: {error}"))?;
        let root = xml.root_element();
        if !root.has_tag_name((ATOM, "feed")) {
            return Err("its root is no atom:feed".to_owned());
        }
        let mut document = Self {
            is_archive: root
                .children()
                .any(|node| node.has_tag_name((HISTORY, "archive"))),
            cursor: child(root, NAMESPACE, "cursor").map(text_of),
            ..Self::default()
        };
        document.persons(root);
        document.common(root, "the feed");
        for link in root
            .children()
            .filter(|node| node.has_tag_name((ATOM, "link")))
        {
            let relation = relation(link);
            match link
                .attribute("href")
                .and_then(|href| join(link, url, href))
            {
                Some(target) => document.links.push((relation, target)),
                _ => document
                    .faults
                    .push(format!("a link {relation} has no address")),
            }
        }
        for node in root
            .children()
            .filter(|node| node.has_tag_name((ATOM, "entry")))
        {
            document.entry(node, url);
        }
        let mut known = HashSet::new();
        let versions = document.entries.iter();
        let mut versions = versions.map(|entry| (&entry.id, &entry.updated));
        if let Some((doubled, _)) = versions.find(|version| !known.insert(*version)) {
            let fault = format!("two entries have the id {doubled} and the same date (4.1.1)");
            document.faults.push(fault);
        }
        Ok(document)
    }

    pub(super) fn link(&self, relation: &str) -> Option<&Url> {
        let mut links = self.links.iter();
        links
            .find(|(known, _)| known == relation)
            .map(|(_, target)| target)
    }

    fn persons(&mut self, root: Node<'_, '_>) {
        let has_author = |node: Node<'_, '_>| child(node, ATOM, "author").is_some();
        let mut entries = root
            .children()
            .filter(|node| node.has_tag_name((ATOM, "entry")));
        if !has_author(root) && !entries.all(has_author) {
            self.faults
                .push("neither the feed nor each entry has an author (4.1.1)".to_owned());
        }
    }

    /// What feeds and entries must have, once each.
    fn common(&mut self, node: Node<'_, '_>, what: &str) {
        for name in ["id", "title", "updated"] {
            let count = node
                .children()
                .filter(|child| child.has_tag_name((ATOM, name)))
                .count();
            if count != 1 {
                self.faults.push(format!(
                    "{what} has {count} elements {name}, and must have one"
                ));
            }
        }
        if child(node, ATOM, "id")
            .map(text_of)
            .is_some_and(|id| !id.contains(':'))
        {
            self.faults
                .push(format!("the id of {what} is no IRI (4.2.6)"));
        }
        for name in ["updated", "published"] {
            let date = child(node, ATOM, name).map(text_of);
            if date
                .as_ref()
                .is_some_and(|date| DateTime::parse_from_rfc3339(date).is_err())
            {
                self.faults
                    .push(format!("{name} of {what} is no date (3.3)"));
            }
        }
    }

    fn entry(&mut self, node: Node<'_, '_>, url: &Url) {
        let id = child(node, ATOM, "id").map(text_of).unwrap_or_default();
        let what = format!("entry {id}");
        self.common(node, &what);
        let updated = child(node, ATOM, "updated")
            .map(text_of)
            .unwrap_or_default();
        let content = child(node, ATOM, "content");
        let src = content.and_then(|content| content.attribute("src"));
        let alternate = node
            .children()
            .any(|child| child.has_tag_name((ATOM, "link")) && relation(child) == "alternate");
        if content.is_none() && !alternate {
            self.faults.push(format!(
                "{what} has neither content nor a link alternate (4.1.2)"
            ));
        }
        if src.is_some() && child(node, ATOM, "summary").is_none() {
            self.faults.push(format!(
                "{what} has its content elsewhere, and no summary (4.1.2)"
            ));
        }
        self.entries.push(Entry {
            sequence: child(node, NAMESPACE, "sequence")
                .map(text_of)
                .and_then(|text| text.parse().ok()),
            src: content
                .zip(src)
                .and_then(|(content, src)| join(content, url, src)),
            id,
            updated,
        });
    }
}

/// Rejects elements so deep within each other that reading them takes more stack than there is.
fn check_depth(text: &str) -> Result<(), String> {
    let (mut xml, mut depth) = (Reader::from_str(text), 0_u32);
    loop {
        match xml.read_event() {
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(format!("it is no XML: {error}")),
        }
        if depth > DEEPEST {
            return Err(format!(
                "elements are more than {DEEPEST} deep within each other"
            ));
        }
    }
}

fn child<'a, 'i>(node: Node<'a, 'i>, namespace: &str, name: &str) -> Option<Node<'a, 'i>> {
    node.children()
        .find(|child| child.has_tag_name((namespace, name)))
}

fn relation(link: Node<'_, '_>) -> String {
    let relation = link.attribute("rel").unwrap_or("alternate");
    let relation = relation.trim().to_ascii_lowercase();
    match relation.strip_prefix(RELATIONS) {
        Some(name) => name.to_owned(),
        None => relation,
    }
}

/// Resolves a link at `node` of the document at `url`, with the `xml:base`s around it (RFC 4287, section 2).
fn join(node: Node<'_, '_>, url: &Url, link: &str) -> Option<Url> {
    let bases = node
        .ancestors()
        .filter_map(|around| around.attribute((NS_XML_URI, "base")));
    let bases: Vec<&str> = bases.collect();
    let mut links = bases.into_iter().rev().chain([link]);
    links.try_fold(url.clone(), |base, link| base.join(link).ok())
}

fn text_of(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inside: &str) -> Result<Document, String> {
        let text = format!("<feed xmlns='{ATOM}'>{inside}</feed>");
        Document::read(&text, &Url::parse("http://127.0.0.1/feed").expect("a URL"))
    }

    const HEAD: &str = "<id>urn:x</id><title/><updated>2026-01-01T00:00:00Z</updated><author><name>a</name></author>";

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(read(HEAD).expect("a feed").faults, [""; 0]);
        for (inside, said) in [
            ("", "the feed has 0 elements id"),
            (
                &HEAD.replace("<title/>", "<title/><title/>"),
                "2 elements title",
            ),
            (
                &HEAD.replace("2026-01-01T00:00:00Z", "yesterday"),
                "updated of the feed is no date",
            ),
            (&HEAD.replace("urn:x", "x"), "is no IRI"),
            (&HEAD.replace("author", "editor"), "an author"),
            (
                &format!(
                    "{HEAD}<entry><id>urn:1</id><title/><updated>2026-01-01T00:00:00Z</updated></entry>"
                ),
                "neither content nor a link",
            ),
        ] {
            let faults = read(inside).expect("a feed").faults;
            let faulted = faults.iter().any(|fault| fault.contains(said));
            // A feed without entries has no need of an author.
            assert!(faulted || said == "an author", "{said}: {faults:?}");
        }
        for text in [
            "<entry>",
            &("<a>".repeat(100_000) + &"</a>".repeat(100_000)),
            &"<a>".repeat(500_000),
        ] {
            assert!(read(text).is_err(), "{text:.40}");
        }
        let entry = "<entry><id>urn:1</id><title/><updated>2026-01-01T00:00:00Z</updated><link href='/'/></entry>";
        let doubled = read(&format!("{HEAD}{entry}{entry}"))
            .expect("a feed")
            .faults;
        assert!(
            doubled[0].contains("two entries have the id urn:1"),
            "{doubled:?}"
        );
    }
}
