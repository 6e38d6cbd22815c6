//! What the standards ask of a feed as a document, item by item: RFC 4287 and RFC 5005. A name says
//! the RFC, its section, and what holds.

use std::collections::{BTreeSet, HashSet};

use feed_core::http::NAMESPACE;
use feed_core::outbox;
use roxmltree::{Document, Node};

use crate::support::{Answer, Publisher, Testable, event};

harness::on_both_databases! {
    rfc4287_every_document_is_well_made
    rfc4287_4_2_6_ids_never_change
    rfc4287_xml_holds_any_text
    rfc5005_4_links_are_all_true
}

pub(crate) const ATOM: &str = "http://www.w3.org/2005/Atom";
const HISTORY: &str = "http://purl.org/syndication/history/1.0";

/// A feed of 45 events in pages of ten, and each kind of document there is.
pub(crate) async fn documents<B: Testable>(publisher: &Publisher<B>) -> Vec<(String, Answer)> {
    let mut documents = vec![("empty".to_owned(), publisher.get("/feed", &[]).await)];
    publisher.publish(3).await;
    let tag = publisher.get("/feed", &[]).await.header("etag");
    publisher.publish(2).await;
    let delta = [
        ("if-none-match", tag.as_str()),
        ("a-im", "feed"),
        ("prefer", "wait=1"),
    ];
    documents.push(("delta".to_owned(), publisher.get("/feed", &delta).await));
    let ids = publisher.publish(40).await;
    let cursor = publisher.feed.cursor();
    let epoch = &cursor.epoch;
    let open = feed_core::Cursor {
        sequence: 42,
        anchor: Some(ids[36]),
        ..cursor.clone()
    };
    let paths = [
        "/feed".to_owned(),
        format!("/feed/{epoch}/1"),
        format!("/feed/{epoch}/3"),
        format!("/feed/{epoch}/4"),
        format!("/feed?after={open}"),
        format!("/feed?after={cursor}"),
        "/feed?type=order.placed".to_owned(),
        "/feed?subject=order%2F3".to_owned(),
        "/feed?type=order.placed&before=30".to_owned(),
        "/feed?type=nothing".to_owned(),
        "/feed?type=order.placed&after=start".to_owned(),
    ];
    for path in paths {
        let answer = publisher.get(&path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        documents.push((path, answer));
    }
    documents
}

pub(crate) fn children<'a>(node: Node<'a, 'a>, name: &str) -> Vec<Node<'a, 'a>> {
    node.children()
        .filter(|child| child.has_tag_name((ATOM, name)))
        .collect()
}

fn links<'a>(feed: Node<'a, 'a>, rel: &str) -> Vec<&'a str> {
    let links = children(feed, "link").into_iter();
    let wanted = links.filter(|link| link.attribute("rel") == Some(rel));
    wanted.map(|link| link.attribute("href").unwrap()).collect()
}

/// Items 1 to 12, 16, 17, 21, 25, 26, 30 of the checklist.
async fn rfc4287_every_document_is_well_made<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for (path, answer) in documents(&publisher).await {
        assert!(
            answer
                .header("content-type")
                .starts_with("application/atom+xml"),
            "{path}"
        );
        assert!(
            answer
                .body
                .starts_with("<?xml version=\"1.0\" encoding=\"utf-8\"?>")
        );
        let tree = Document::parse(&answer.body).unwrap();
        let feed = tree.root_element();
        assert!(feed.has_tag_name((ATOM, "feed")));
        for name in ["id", "title", "updated"] {
            assert_eq!(children(feed, name).len(), 1, "{path}: {name}");
        }
        assert_eq!(children(feed, "author").len(), 1, "{path}");
        assert_eq!(links(feed, "self").len(), 1, "{path}");
        let (pages, subtitles) = (links(feed, "alternate"), children(feed, "subtitle"));
        // Metadata comes before entries, our own elements too.
        let elements: Vec<_> = feed.children().filter(Node::is_element).collect();
        let first = elements
            .iter()
            .position(|child| child.has_tag_name((ATOM, "entry")));
        let (before, after) = elements.split_at(first.unwrap_or(elements.len()));
        assert!(
            after
                .iter()
                .all(|child| child.has_tag_name((ATOM, "entry"))),
            "{path}"
        );
        for name in ["epoch", "cursor"] {
            assert!(
                before
                    .iter()
                    .any(|child| child.has_tag_name((NAMESPACE, name))),
                "{path}"
            );
        }
        // A document is archived or paged, never both.
        let paged = ["first", "last", "next", "previous"];
        let paged = paged.iter().any(|rel| !links(feed, rel).is_empty());
        let archived = ["prev-archive", "next-archive"];
        let archived = archived.iter().any(|rel| !links(feed, rel).is_empty());
        let archive = before
            .iter()
            .any(|child| child.has_tag_name((HISTORY, "archive")));
        assert!(!(paged && (archived || archive)), "{path}");
        assert_eq!(
            paged,
            path.contains("type=") || path.contains("subject="),
            "{path}"
        );
        // The bytes of a page are final (I3): nothing is added to it.
        if archive {
            assert_eq!(links(feed, "current"), ["https://shop.example/order/feed"]);
            assert!(pages.is_empty() && subtitles.is_empty(), "{path}");
        } else {
            assert_eq!(subtitles.len(), 1, "{path}");
            assert_eq!(subtitles[0].text(), Some("What happened <to> orders"));
            let has_page = !path.contains("after=");
            let own = links(feed, "self").into_iter().filter(|_| has_page);
            assert_eq!(pages, own.collect::<Vec<_>>(), "{path}");
        }
        check_entries(&path, feed);
    }
}

fn check_entries(path: &str, feed: Node<'_, '_>) {
    let (mut ids, mut sequences) = (HashSet::new(), Vec::new());
    for entry in feed
        .children()
        .filter(|child| child.has_tag_name((ATOM, "entry")))
    {
        let text = |name: &str| -> Vec<String> {
            let named = entry
                .children()
                .filter(|child| child.has_tag_name((ATOM, name)));
            named
                .map(|child| child.text().unwrap_or_default().to_owned())
                .collect()
        };
        for name in ["id", "title", "updated", "published", "summary", "content"] {
            assert_eq!(text(name).len(), 1, "{path}: {name}");
        }
        assert!(text("id")[0].starts_with("urn:uuid:") && ids.insert(text("id").remove(0)));
        for name in ["updated", "published"] {
            let date = &text(name)[0];
            assert!(date.len() == 24 && date.ends_with('Z'), "{date}");
            assert!(chrono::DateTime::parse_from_rfc3339(date).is_ok(), "{date}");
        }
        let content = entry
            .children()
            .find(|child| child.has_tag_name((ATOM, "content")))
            .unwrap();
        assert_eq!(content.attribute("type"), Some("application/json"));
        assert!(content.attribute("src").is_some() && content.text().is_none());
        let category = entry
            .children()
            .find(|child| child.has_tag_name((ATOM, "category")))
            .unwrap();
        assert_eq!(category.attribute("term"), Some("order.placed"));
        assert_eq!(category.attribute("scheme"), Some(NAMESPACE));
        let sequence = entry
            .children()
            .find(|c| c.has_tag_name((NAMESPACE, "sequence")))
            .unwrap();
        sequences.push(sequence.text().unwrap().parse::<i64>().unwrap());
    }
    assert!(
        sequences.is_sorted_by(|one, next| one > next),
        "{path}: newest first"
    );
}

/// Items 14, 40 and 88: another base URL, another instance, a restart.
async fn rfc4287_4_2_6_ids_never_change<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    let moved = Publisher::<B>::at(url, "http://elsewhere.example:81/a/b/").await;
    let ids = |answer: &Answer| -> Vec<String> {
        let tree = Document::parse(&answer.body).unwrap();
        let ids = tree
            .descendants()
            .filter(|node| node.has_tag_name((ATOM, "id")));
        ids.map(|id| id.text().unwrap().to_owned()).collect()
    };
    let here = publisher.get("/feed", &[]).await;
    let there = moved.get("/feed", &[]).await;
    assert_eq!(ids(&here), ids(&there));
    // Other links, another tag; another instance with the same links, the same tag.
    assert_ne!(here.header("etag"), there.header("etag"));
    let beside = Publisher::<B>::open(url).await.get("/feed", &[]).await;
    assert_eq!(here.header("etag"), beside.header("etag"));
    assert!(
        there
            .body
            .contains("href=\"http://elsewhere.example:81/a/b/feed\"")
    );
    assert!(!there.body.contains("shop.example"));
    // Never from the request.
    let host = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
    ];
    assert!(!publisher.get("/feed", &host).await.body.contains("evil"));
}

/// Item 22.
async fn rfc4287_xml_holds_any_text<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let name = "]]><x>&amp;\"' O'Brien Müller 日本語 😀 \u{7f}\u{fffd}\r\n\ttab";
    // A name has no characters that XML does not have.
    let hostile = format!("{name}\u{1}\u{8}\u{b}\u{1f}\u{fffe}\u{ffff}.");
    let shown = format!("{name}{}.", "\u{fffd}".repeat(6));
    let mut hostile_event = event(name);
    hostile_event.event_type = name.to_owned();
    hostile_event.title.clone_from(&hostile);
    hostile_event.summary = hostile;
    hostile_event.link = "a b?c=<\"&d>".to_owned();
    let mut tx = publisher.database.begin().await.unwrap();
    let id = outbox::append(&mut tx, &hostile_event).await.unwrap();
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let answer = publisher.get("/feed", &[]).await;
    let tree = Document::parse(&answer.body).unwrap();
    let entry = tree
        .descendants()
        .find(|node| node.has_tag_name((ATOM, "entry")))
        .unwrap();
    for (element, text) in [
        ((ATOM, "title"), shown.as_str()),
        ((ATOM, "summary"), &shown),
        ((NAMESPACE, "subject"), name),
    ] {
        let found = entry.children().find(|c| c.has_tag_name(element)).unwrap();
        assert_eq!(found.text().unwrap(), text, "{element:?}");
    }
    let category = entry
        .children()
        .find(|c| c.has_tag_name((ATOM, "category")))
        .unwrap();
    assert_eq!(category.attribute("term"), Some(name));
    let path = format!("/events/{id}");
    let attributes = publisher.get(&path, &[]).await;
    assert!(
        attributes
            .header("ce-subject")
            .starts_with("]]><x>&amp;%22'%20O'Brien%20M%C3%BCller")
    );
}

/// Items 27 to 32: every link is followed, and leads where it says.
async fn rfc5005_4_links_are_all_true<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for newest in [5, 10, 19, 20, 30, 41] {
        publisher
            .publish(newest - publisher.feed.cursor().sequence)
            .await;
        let mut seen = BTreeSet::new();
        let mut open = vec!["/feed".to_owned()];
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let answer = publisher.get(&path, &[]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.link("self").as_ref(), Some(&path));
            if let Some(next) = answer.link("next-archive") {
                let next = publisher.get(&next, &[]).await;
                assert_eq!(next.link("prev-archive"), Some(path.clone()));
            }
            for rel in ["prev-archive", "next-archive", "current"] {
                open.extend(answer.link(rel));
            }
        }
        let pages = usize::try_from(newest / 10).unwrap();
        // The newest sealed page has no link to it yet, since it is still to change.
        assert_eq!(
            seen.len(),
            1 + pages.saturating_sub(usize::from(pages == 1)),
            "{seen:?}"
        );
    }
}
