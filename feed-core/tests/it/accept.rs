//! Which form of a feed document a reader gets, by what it accepts. Who accepts none of them gets Atom
//! (RFC 9110, 12.5.1): readers exist that name other formats alone, and read this one.

use crate::support::{NOT_MODIFIED, Publisher, Testable};

harness::on_both_databases! {
    readers_get_atom
    browsers_get_a_page
    programs_that_name_a_type_get_it
    a_fallback_is_the_atom_representation
    several_fields_are_one_list
    other_resources_refuse
}

const ATOM: &str = "application/atom+xml; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What readers and HTTP libraries send where nobody tells them otherwise.
const READERS: [&str; 16] = [
    // npm: rss-parser
    "application/rss+xml",
    // axios, and with it npm's rss-to-json
    "application/json, text/plain, */*",
    // curl, wget, newsboat, sfeed, elinks, links; Python's requests, httpx, aiohttp; node's fetch, undici
    "*/*",
    // Python's feedparser, and with it rss2email
    "application/atom+xml,application/rdf+xml,application/rss+xml,application/x-netcdf,\
     application/xml;q=0.9,text/xml;q=0.2,*/*;q=0.1",
    // java.net.URLConnection since JDK 12 and before it, and with it Rome
    "text/html, image/gif, image/jpeg, */*; q=0.2",
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    // Miniflux
    "application/xml, application/atom+xml, application/rss+xml, application/rdf+xml, \
     application/feed+json, text/html, */*;q=0.9",
    // SimplePie, and with it FreshRSS and WordPress
    "application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, application/xml;q=0.8, \
     text/xml;q=0.8, text/html;q=0.7, unknown/unknown;q=0.1, application/unknown;q=0.1, */*;q=0.1",
    // Nextcloud News
    "application/rss+xml, application/rdf+xml;q=0.8, application/atom+xml;q=0.6, \
     application/xml;q=0.4, text/xml;q=0.4, */*;q=0.2",
    // Sparkle
    "application/rss+xml,*/*;q=0.1",
    // Configured in programs on GitHub
    "application/rss+xml, application/xml, text/xml, text/html;q=0.9, */*;q=0.8",
    "application/rss+xml, application/rdf+xml;q=0.8, application/xml;q=0.4, text/xml;q=0.4, text/html;q=0.2",
    "application/rss+xml, text/html",
    "application/feed+json, application/json",
    "text/xml",
    "application/rdf+xml, text/xml;q=0.5",
];

/// What refuses, means another form of the same, or means nothing.
const ODD: [&str; 21] = [
    "",
    "application/xml",
    "image/png",
    "application/json",
    "application/atom+xml;q=0",
    "*/*;q=0",
    "text/html;q=0",
    "text/html;q=0, */*;q=0",
    "text/html;q=0.0, application/atom+xml;q=0.000",
    "application/atom+xml;type=feed",
    "application/atom+xml; type=entry;q=0.1",
    "application/atom+xml;charset=utf-8",
    "APPLICATION/ATOM+XML;Q=0.5",
    "Application/RSS+XML",
    "text/html;q=0.1, application/atom+xml;q=0.2",
    "text/html;q=two",
    "text/html;q=nan",
    "garbage",
    ";;;,,,/",
    "*",
    "\t,application/*, ,",
];

const BROWSERS: [&str; 11] = [
    // Firefox
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8",
    // Chrome
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
     application/signed-exchange;v=b3;q=0.7",
    // Internet Explorer, and what a program with a browser's habits sends
    "text/html, application/xhtml+xml, */*",
    "*/*, text/html",
    // lynx
    "text/html, text/plain, text/sgml, text/css, */*;q=0.01",
    "text/html",
    "TEXT/HTML;q=0.9",
    "text/html, application/atom+xml;q=0.9",
    "text/html;level=1, application/rss+xml;q=0.5",
    "application/atom+xml;q=0, text/html;q=0.1",
];

/// Head, sealed and final page, catching up, filtered views.
async fn documents<B: Testable>(publisher: &Publisher<B>) -> Vec<String> {
    publisher.publish(35).await;
    let cursor = publisher.feed.cursor();
    let epoch = &cursor.epoch;
    vec![
        "/feed".to_owned(),
        format!("/feed/{epoch}/1"),
        format!("/feed/{epoch}/3"),
        format!("/feed?after={cursor}"),
        "/feed?type=order.placed".to_owned(),
        "/feed?subject=order%2F3&before=20".to_owned(),
    ]
}

async fn readers_get_atom<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for path in documents(&publisher).await {
        for accept in READERS.iter().chain(&ODD) {
            let answer = publisher.get(&path, &[("accept", accept)]).await;
            let got = (answer.status, answer.header("content-type"));
            assert_eq!(got, (200, ATOM.to_owned()), "{path} for {accept:?}");
            assert!(answer.header("vary").contains("Accept"));
        }
    }
}

async fn browsers_get_a_page<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for path in documents(&publisher).await {
        for accept in BROWSERS {
            let answer = publisher.get(&path, &[("accept", accept)]).await;
            let got = (answer.status, answer.header("content-type"));
            assert_eq!(got, (200, HTML.to_owned()), "{path} for {accept:?}");
        }
    }
    let raw = publisher
        .get("/feed.atom", &[("accept", "text/html")])
        .await;
    assert_eq!(raw.header("content-type"), ATOM);
}

/// Many HTTP libraries add `*/*` to what a program names, with the same weight.
async fn programs_that_name_a_type_get_it<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(2).await;
    let event = format!("/events/{}", ids[0]);
    let (batch, structured) = (
        "application/cloudevents-batch+json",
        "application/cloudevents+json",
    );
    for (path, named) in [
        ("/feed", batch),
        ("/feed?after=start", batch),
        ("/feed?type=order.placed", batch),
        ("/feed?type=order.placed&after=start", batch),
        (event.as_str(), structured),
    ] {
        for accept in [
            format!("{named}, */*"),
            format!("*/*, {named}"),
            format!("{named}, application/*"),
            format!("{named};q=0.5, */*;q=0.5"),
            format!("{named}, text/html"),
            format!("text/html, {named}, */*;q=0.8"),
            format!("{named}, text/plain, */*"),
            format!("{named}, application/problem+json, */*"),
        ] {
            let answer = publisher.get(path, &[("accept", &accept)]).await;
            let got = (answer.status, answer.header("content-type"));
            assert_eq!(got, (200, named.to_owned()), "{path} for {accept}");
        }
    }
    for accept in [
        format!("{batch};q=0.5, */*"),
        format!("application/atom+xml, {batch}, */*"),
        format!("application/atom+xml, {batch};q=0.9"),
    ] {
        let answer = publisher.get("/feed", &[("accept", &accept)]).await;
        assert_eq!(answer.header("content-type"), ATOM, "{accept}");
    }
    let plain = format!("{structured};q=0.5, */*");
    let answer = publisher.get(&event, &[("accept", &plain)]).await;
    assert_eq!(answer.header("content-type"), "application/json");
}

/// Same bytes, same tag, same `304`, same delta: a cache between client and server sees one representation.
async fn a_fallback_is_the_atom_representation<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for path in documents(&publisher).await {
        let atom = publisher
            .get(&path, &[("accept", "application/atom+xml")])
            .await;
        let html = publisher.get(&path, &[("accept", "text/html")]).await;
        let rss = ("accept", "application/rss+xml");
        let fallback = publisher.get(&path, &[rss]).await;
        assert_eq!(fallback.body, atom.body, "{path}");
        for name in ["etag", "vary", "cache-control", "last-modified", "link"] {
            assert_eq!(fallback.header(name), atom.header(name), "{path}: {name}");
        }
        let (tag, other) = (atom.header("etag"), html.header("etag"));
        if tag.is_empty() {
            continue;
        }
        let again = publisher.get(&path, &[rss, ("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.header("etag")), (NOT_MODIFIED, tag));
        assert_eq!(again.header("vary"), atom.header("vary"));
        let another = publisher
            .get(&path, &[rss, ("if-none-match", &other)])
            .await;
        assert_eq!(another.status, 200, "{path}: the tag of the page");
    }
    let tag = publisher.get("/feed", &[]).await.header("etag");
    publisher.publish(1).await;
    let delta = [
        ("accept", "text/xml"),
        ("if-none-match", tag.as_str()),
        ("a-im", "feed"),
        ("prefer", "wait=1"),
    ];
    let delta = publisher.get("/feed", &delta).await;
    assert_eq!((delta.status, delta.sequences()), (226, vec![36]));
    // A coding that is refused is not sent, whatever the form.
    let codings = [("accept", "text/xml"), ("accept-encoding", "identity;q=0")];
    assert_eq!(publisher.get("/feed", &codings).await.status, 406);
}

async fn several_fields_are_one_list<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    let several = [
        (["image/png", "text/html;q=0.5"], HTML),
        (["application/rss+xml", "text/html;q=0.5"], ATOM),
        (["application/rss+xml", "image/png"], ATOM),
        (["text/html;q=0.4", "application/xml;q=0.5"], ATOM),
    ];
    for (accepts, expected) in several {
        let headers = accepts.map(|accept| ("accept", accept));
        let answer = publisher.get("/feed", &headers).await;
        assert_eq!(answer.header("content-type"), expected, "{accepts:?}");
    }
}

async fn other_resources_refuse<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(2).await;
    let epoch = publisher.feed.cursor().epoch;
    let (event, batch) = (
        format!("/events/{}", ids[0]),
        format!("/feed/{epoch}/batch/1-2"),
    );
    let structured = "application/cloudevents+json";
    for (path, accept, expected) in [
        (&event, "application/rss+xml", None),
        (&event, "image/png", None),
        (&event, "*/*;q=0", None),
        (&event, "*/*", Some("application/json")),
        (&event, structured, Some(structured)),
        (
            &event,
            "application/json;q=0.1, APPLICATION/cloudevents+json",
            Some(structured),
        ),
        (&batch, "text/html", None),
        (&batch, "*/*", Some("application/cloudevents-batch+json")),
    ] {
        let answer = publisher.get(path, &[("accept", accept)]).await;
        match expected {
            None => assert_eq!(answer.status, 406, "{path} for {accept}"),
            Some(expected) => assert_eq!(answer.header("content-type"), expected, "{accept}"),
        }
        assert!(answer.header("vary").contains("Accept"));
    }
}
