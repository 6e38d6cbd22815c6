//! Every feed document is Atom, by the schema of RFC 4287 and by two parsers without our code; and
//! none names a person.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::programs::{available, program, succeed};
use harness::{Answer, Backend, Client, Service};
use serde_json::{Value, json};

use crate::publisher::{cursor, page, place, sequences, started};

harness::on_both_backends! {
    the_schema_of_rfc_4287_holds_for_every_document
    two_foreign_parsers_read_every_document
    no_document_names_a_person
    a_filtered_page_says_what_it_shows
    a_browser_gets_a_problem_as_a_page_and_a_program_the_document
}

/// Names of hostile customers. In SQL, a quote is written twice.
const HOSTILE: &str = "]]><!--&bogus;<script>\"''😀\u{1}\u{B}\u{FFFE}\u{202E}%00 O''Brien";

/// A document of each kind.
struct Sample {
    name: &'static str,
    answer: Answer,
    entries: usize,
}

/// A feed of 215 events about hostile customers and items, and each kind of document it has.
async fn samples(order: &Service) -> Vec<Sample> {
    let client = &order.client;
    let mut samples = Vec::new();
    let mut add = |name, answer: Answer, entries| {
        samples.push(Sample {
            name,
            answer,
            entries,
        });
    };
    let empty = client.get("feed", &[]).await;
    add("after-empty", after(client, "start").await, 0);
    let (start, _) = (cursor(&empty), add("empty", empty, 0));
    rename(order).await;
    place(order, 205).await;
    let tag = client.get("feed", &[]).await.header("etag").to_owned();
    place(order, 9).await;
    let cancelled = client.post_form("order/17/cancel", &[]).await;
    assert_eq!(cancelled.status, 303);
    harness::until("all events are in the feed", async || {
        (crate::publisher::newest(client).await == 215).then_some(())
    })
    .await;

    let head = client.get("feed", &[]).await;
    let delta = [
        ("if-none-match", tag.as_str()),
        ("a-im", "feed"),
        ("prefer", "wait=5"),
    ];
    let delta = client.get("feed", &delta).await;
    assert_eq!(delta.status, 226);
    add("delta", delta, 10);
    let immutable = client.get(&page(&head, 1), &[]).await;
    let sealed = client.get(&page(&head, 2), &[]).await;
    add("after", after(client, &cursor(&sealed)).await, 15);
    add("after-newest", after(client, &cursor(&head)).await, 0);
    let forward = client.get(&format!("feed?after={start}"), &[]).await;
    assert_eq!(forward.status, 303, "catching up begins with a page");
    add("immutable", immutable, 100);
    add("sealed", sealed, 100);
    add("head", head, 115);
    for (name, query, entries) in [
        ("by-type", "type=order.placed", 100),
        ("by-type-older", "type=order.placed&before=50", 49),
        ("by-subject", "subject=order/17", 2),
        ("by-type-after", "type=order.placed&after=start", 214),
        ("by-subject-after", "subject=order/17&after=start", 2),
        (
            "by-nothing",
            "type=%22%3E%3C!--%26bogus;%5D%5D%3E&subject=%F0%9F%98%80",
            0,
        ),
    ] {
        add(
            name,
            client.get(&format!("feed?{query}"), &[]).await,
            entries,
        );
    }
    for sample in &samples {
        let (name, answer) = (sample.name, &sample.answer);
        assert!(
            [200, 226].contains(&answer.status),
            "{name}: {}",
            answer.body
        );
        let media_type = answer.header("content-type");
        assert_eq!(media_type, "application/atom+xml; charset=utf-8", "{name}");
    }
    samples
}

async fn after(client: &Client, cursor: &str) -> Answer {
    client.get(&format!("feed?after={cursor}"), &[]).await
}

/// Gives customers and items hostile names, in the database itself: the rules of the service do not
/// apply there.
async fn rename(order: &Service) {
    let sql = format!(
        "UPDATE customers SET name = 'Mallory{HOSTILE}', firstname = 'Trudy{HOSTILE}',
                email = 'trudy{HOSTILE}@example.com';
         UPDATE items SET name = 'iPod{HOSTILE}'"
    );
    order.database.execute(&sql).await;
}

/// Writes each document to a file.
fn files(samples: &[Sample], directory: &Path) -> Vec<PathBuf> {
    let file = |sample: &Sample| {
        let path = directory.join(format!("{}.xml", sample.name));
        std::fs::write(&path, &sample.answer.body).unwrap();
        path
    };
    samples.iter().map(file).collect()
}

async fn the_schema_of_rfc_4287_holds_for_every_document(backend: Backend) {
    if !available(&["xmllint"]) {
        return;
    }
    let order = started(backend).await;
    let directory = tempfile::tempdir().unwrap();
    let files = files(&samples(&order).await, directory.path());
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/feed/schema/atom.rng");
    let mut xmllint = program("xmllint");
    xmllint.args(["--noout", "--nonet", "--relaxng", schema]);
    xmllint.args(files);
    succeed(xmllint).await;
}

async fn two_foreign_parsers_read_every_document(backend: Backend) {
    if !available(&["python3"]) {
        return;
    }
    let order = started(backend).await;
    let samples = samples(&order).await;
    let directory = tempfile::tempdir().unwrap();
    let mut python = program("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/feed/parse.py"));
    python.args(files(&samples, directory.path()));
    let found: Vec<Value> = serde_json::from_str(&succeed(python).await).unwrap();
    for (sample, found) in samples.iter().zip(&found) {
        let name = sample.name;
        assert_eq!(found["trouble"], json!(null), "{name}");
        assert_eq!(found["version"], "atom10", "{name}");
        let feed: atom_syndication::Feed = sample.answer.body.parse().unwrap();
        assert_eq!(found["title"], json!(feed.title().value), "{name}");
        assert_eq!(found["author"], json!(feed.authors()[0].name), "{name}");
        let seen: Vec<Value> = feed
            .entries()
            .iter()
            .map(|entry| json!({"id": entry.id(), "title": entry.title().value}))
            .collect();
        assert_eq!(found["entries"], json!(seen), "{name}");
        assert_eq!(seen.len(), sample.entries, "{name}");
        let ids: BTreeSet<&str> = feed.entries().iter().map(|entry| entry.id()).collect();
        assert_eq!(ids.len(), seen.len(), "{name}: each entry once");
        // What the schema says in Schematron: an alternate link, and content by reference.
        for entry in feed.entries() {
            assert!(entry.links().iter().any(|link| link.rel() == "alternate"));
            assert!(entry.content().unwrap().src().is_some() && entry.summary().is_some());
        }
    }
    // No two pages have an entry in common, and together they are the feed.
    let of = |name| {
        let sample = samples.iter().find(|sample| sample.name == name).unwrap();
        sequences(&sample.answer.body)
    };
    let all = [of("after"), of("sealed"), of("immutable")].concat();
    assert_eq!(all, (1..=215).rev().collect::<Vec<_>>());
}

async fn no_document_names_a_person(backend: Backend) {
    let order = started(backend).await;
    let client = &order.client;
    let mut texts: Vec<(String, String)> = samples(&order)
        .await
        .iter()
        .map(|sample| {
            let text = format!("{:?}{}", sample.answer.headers, sample.answer.body);
            (sample.name.to_owned(), text)
        })
        .collect();
    let head = client.get("feed", &[]).await;
    for path in [
        "feed",
        "feed?after=start",
        &page(&head, 1),
        "feed?subject=order/17",
    ] {
        for accept in ["text/html", "application/atom+xml"] {
            let answer = client.get(path, &[("accept", accept)]).await;
            texts.push((format!("{path} as {accept}"), answer.body));
        }
    }
    for path in ["feed?after=x.1.y", "feed?nobody=1", "feed/none/1"] {
        texts.push((path.to_owned(), client.get(path, &[]).await.body));
    }
    // The data is there, behind the links.
    let data = client.get(&link(&head.body, "src=\""), &[]).await.body;
    let person = [
        "Mallory",
        "Trudy",
        "trudy",
        "O'Brien",
        "example.com",
        "Main Street",
        "Side Street",
        "10115",
        "20095",
        "Berlin",
        "Hamburg",
        "iPod",
    ];
    for secret in person {
        assert!(data.contains(secret), "{secret} is not in {data}");
        for (name, text) in &texts {
            assert!(!text.contains(secret), "{name} contains {secret}");
        }
    }
}

async fn a_browser_gets_a_problem_as_a_page_and_a_program_the_document(backend: Backend) {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let order = started(backend).await;
    let client = &order.client;
    place(&order, 1).await;
    let head = client.get("feed", &[]).await;
    let epoch = &head.elements("event:epoch")[0];
    let lost = cursor(&head).replace(epoch.as_str(), "anothery");
    let cases = [
        ("feed?nobody=1".to_owned(), 400, "The request is malformed"),
        (
            "feed?type=a&before=x".to_owned(),
            400,
            "The request is malformed",
        ),
        ("feed.atom?x=1".to_owned(), 400, "The request is malformed"),
        (
            format!("feed?after={lost}"),
            410,
            "The cursor is not a position in this feed",
        ),
        (format!("feed/{epoch}/99"), 404, "There is nothing here"),
        ("feed/none/1".to_owned(), 404, "There is nothing here"),
        (
            format!("feed/{epoch}/batch/8-9"),
            404,
            "There is nothing here",
        ),
        ("feed/schemas/none".to_owned(), 404, "There is nothing here"),
        ("events/none".to_owned(), 404, "There is nothing here"),
        (
            format!("events/{}", "0190fa31-0000-7000-8000-000000000000"),
            404,
            "There is nothing here",
        ),
    ];
    for (path, status, title) in &cases {
        let page = client.get(path, &[("accept", BROWSER)]).await;
        assert_eq!(page.status, *status, "{path}");
        assert_eq!(
            page.header("content-type"),
            "text/html; charset=utf-8",
            "{path}"
        );
        assert!(
            page.body.contains(&format!("<h1>{title}</h1>")),
            "{path}: {}",
            page.body
        );
        assert!(
            page.body.contains("Back to Orders"),
            "{path}: {}",
            page.body
        );
        // A feed reader takes pages too, and Java names them first.
        for accept in [
            "application/atom+xml",
            "application/json",
            "*/*",
            "application/rss+xml, application/atom+xml;q=0.9, text/html;q=0.8, */*;q=0.1",
            "application/cloudevents-batch+json",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        ] {
            let problem = client.get(path, &[("accept", accept)]).await;
            problem.assert_problem(*status);
            assert_eq!(
                problem.header("content-type"),
                "application/problem+json",
                "{accept}"
            );
            assert_eq!(problem.json()["title"], *title);
            kept_apart(path, &problem);
        }
        kept_apart(path, &page);
    }
    let wrong = client
        .try_send("POST", "feed", &[("accept", BROWSER)], "")
        .await;
    let wrong = wrong.unwrap();
    wrong.assert_problem(405);
    assert_eq!(wrong.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(wrong.header("allow"), "GET, HEAD, OPTIONS");
}

async fn a_filtered_page_says_what_it_shows(backend: Backend) {
    let order = started(backend).await;
    place(&order, 2).await;
    let page = async |path: &str| {
        order
            .client
            .get(path, &[("accept", "text/html")])
            .await
            .body
    };
    let whole = "<a href=\"/feed\">Show all events</a>";
    for (path, title, only) in [
        (
            "feed?subject=order/2",
            "Feed: order/2",
            "Only events about <code>order/2</code>. ",
        ),
        (
            "feed?type=order.placed",
            "Feed: order.placed",
            "Only events of type <code>order.placed</code>. ",
        ),
        (
            "feed?type=order.placed&subject=order/1&after=start",
            "Feed: order.placed, order/1",
            "Only events of type <code>order.placed</code> about <code>order/1</code>. ",
        ),
        (
            "feed?subject=%3Cb%3E/%C3%A4 b",
            "Feed: &lt;b&gt;/ä b",
            "Only events about <code>&lt;b&gt;/ä b</code>. ",
        ),
    ] {
        let body = page(path).await;
        assert!(
            body.contains(&format!("<h1>{title}</h1>")),
            "{path}: {body}"
        );
        assert!(body.contains(&format!("{only}{whole}")), "{path}: {body}");
        assert!(!body.contains("Nothing has happened yet"), "{path}: {body}");
    }
    let body = page("feed").await;
    assert!(!body.contains("Only events"), "{body}");
    assert!(body.contains("<h1>Feed</h1>"), "{body}");
}

/// A cache gives neither form to a client that prefers the other.
fn kept_apart(path: &str, answer: &Answer) {
    let vary: Vec<&str> = answer
        .headers
        .get_all("vary")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(vary, ["Accept"], "{path}");
    assert_eq!(answer.header("cache-control"), "no-store", "{path}");
}

/// The first address in the attribute.
fn link(document: &str, attribute: &str) -> String {
    let (_, rest) = document.split_once(attribute).unwrap();
    rest.split('"').next().unwrap().to_owned()
}
