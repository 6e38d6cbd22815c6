//! Hostile documents: refused, and the same consumer then reads the correct feed.

use harness::fake::{Atom, Entry, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, ids, numbered, serving};

harness::on_both_databases! {
    hostile_documents_are_refused
    hostile_documents_in_our_format_are_refused
    a_hostile_page_is_refused
    no_external_entity_is_requested
    a_content_whose_address_has_no_quotes_is_not_empty
    an_entry_without_an_id_is_no_event
    unusual_entries_do_not_affect_others
}

/// The documents, in place of the whole feed.
fn hostile(healthy: &str) -> Vec<(&'static str, Vec<u8>)> {
    let inside = |markup: &str| healthy.replacen("<entry>", &format!("{markup}<entry>"), 1);
    let laughs: String = (1..10)
        .map(|n| {
            let ten = format!("&l{};", n - 1).repeat(10);
            format!("<!ENTITY l{n} \"{ten}\">")
        })
        .collect();
    let laughs = format!("<!DOCTYPE feed [<!ENTITY l0 \"ha\">{laughs}]>");
    let doctype = |doctype: &str| healthy.replacen("<feed", &format!("{doctype}<feed"), 1);
    let attribute = |text: &str| {
        healthy
            .replacen("<title>", &format!("<title {text}>"), 1)
            .into()
    };
    let half = healthy.len() / 2;
    let mut not_utf8 = healthy.as_bytes().to_vec();
    let letter = healthy.find("Something").unwrap_or(half);
    not_utf8[letter] = 0xff;
    vec![
        ("truncated", healthy.as_bytes()[..half].to_vec()),
        (
            "almost whole",
            healthy.trim_end().trim_end_matches('>').into(),
        ),
        ("without an end", healthy.replace("</feed>", "").into()),
        (
            "ended twice",
            healthy.replace("</feed>", "</feed></feed>").into(),
        ),
        ("crossed", healthy.replacen("</title>", "</id>", 1).into()),
        (
            "billion laughs",
            doctype(&laughs).replacen("Something", "&l9;", 1).into(),
        ),
        (
            "file",
            doctype("<!DOCTYPE feed [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>").into(),
        ),
        ("any document type", doctype("<!DOCTYPE feed>").into()),
        ("deep", inside(&"<a>".repeat(100_000)).into()),
        (
            "deep with prefixes",
            inside(&"<x:a>".repeat(100_000)).into(),
        ),
        (
            "deep and closed",
            inside(&["<x:a>".repeat(100_000), "</x:a>".repeat(100_000)].concat()).into(),
        ),
        (
            "deep in an entry",
            healthy
                .replacen(
                    "<title>",
                    &format!("<title type=\"xhtml\">{}", "<b>".repeat(100_000)),
                    1,
                )
                .into(),
        ),
        ("not UTF-8", not_utf8),
        // Such an attribute would be missing, or its second value.
        ("an attribute without quotes", attribute("a=b")),
        ("an attribute without a value", attribute("a")),
        ("an attribute twice", attribute("a=\"1\" b=\"\" a=\"2\"")),
        ("an attribute without an end", attribute("a=\"><entry>\"")),
        (
            "a feed of another kind",
            b"<rss version=\"2.0\"><channel><item/></channel></rss>".to_vec(),
        ),
        (
            "an entry alone",
            Entry::foreign(1)
                .xml()
                .replace("<entry", "<entry xmlns=\"http://www.w3.org/2005/Atom\"")
                .into(),
        ),
        ("zeros", vec![0; 100_000]),
        ("nothing", Vec::new()),
    ]
}

async fn hostile_documents_are_refused<B: Recording>(url: &str) {
    let mut believed = Vec::new();
    for (name, document) in hostile(&Atom::of(1..=9).xml()) {
        let fake = serving(&Atom::of(1..=1)).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=1)).await;
        fake.at("/feed", Reply::feed(document).header("etag", "\"hostile\""));
        if reader.poll().await.is_ok() {
            believed.push(name);
            continue;
        }
        assert_eq!(reader.ids().await, ids(1..=1), "{name}");
        fake.at("/feed", Reply::feed(Atom::of(1..=2).xml()));
        reader.takes(&ids(1..=2)).await;
    }
    assert!(believed.is_empty(), "taken for feeds: {believed:?}");
}

async fn hostile_documents_in_our_format_are_refused<B: Recording>(url: &str) {
    let mut believed = Vec::new();
    for (name, document) in hostile(&Numbered::new(19).head().xml()) {
        let fake = numbered(1).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(1)).await;
        fake.at("/feed", Reply::feed(document).header("etag", "\"hostile\""));
        if reader.poll().await.is_ok() {
            believed.push(name);
            continue;
        }
        assert_eq!(reader.ids().await, Numbered::ids(1), "{name}");
        Numbered::new(3).serve(&fake);
        reader.takes(&Numbered::ids(3)).await;
    }
    assert!(believed.is_empty(), "taken for feeds: {believed:?}");
}

async fn a_hostile_page_is_refused<B: Recording>(url: &str) {
    let mut believed = Vec::new();
    for (name, document) in hostile(&Atom::of(1..=9).xml()) {
        let fake = serving(&Atom::of(10..=12).link("prev-archive", "/page")).await;
        fake.at("/page", Reply::feed(document));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        match reader.poll().await {
            Ok(_) => {
                believed.push(name);
                continue;
            }
            Err(error) => assert!(error.contains("/page"), "{name}: {error}"),
        }
        assert_eq!(reader.ids().await, ids([]), "{name}");
        fake.at("/page", Reply::feed(Atom::of(1..=9).xml()));
        reader.takes(&ids(1..=12)).await;
    }
    assert!(believed.is_empty(), "taken for feeds: {believed:?}");
}

async fn no_external_entity_is_requested<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let doctype = format!(
        "<!DOCTYPE feed SYSTEM \"{0}\" [<!ENTITY e SYSTEM \"{0}\"><!ENTITY % p SYSTEM \"{0}\">%p;]>\
         <?xml-stylesheet href=\"{0}\"?>",
        fake.url("/trap")
    );
    let include = format!(
        "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"{0}\"/>\
         <link rel=\"stylesheet\" href=\"{0}\"/><icon>{0}</icon><logo>{0}</logo>",
        fake.url("/trap")
    );
    let healthy = Atom::of(1..=2).with(&include).xml();
    fake.at(
        "/feed",
        Reply::feed(healthy.replacen("<feed", &format!("{doctype}<feed"), 1)),
    );
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.fails().await;
    fake.at("/feed", Reply::feed(healthy));
    reader.takes(&ids(1..=2)).await;
    assert!(fake.targets().iter().all(|target| target == "/feed"));
}

async fn a_content_whose_address_has_no_quotes_is_not_empty<B: Recording>(url: &str) {
    for (name, content) in [
        (
            "no quotes",
            "<content type=\"text/plain\" src=/c></content>",
        ),
        (
            "twice",
            "<content src=\"\" type=\"text/plain\" src=\"/c\"></content>",
        ),
        ("inside", "<content type=\"xhtml\"><a href=/c/></content>"),
    ] {
        let entry = Entry::new("tag:1", "2026-05-01T00:00:00Z").with(content);
        let fake = serving(&Atom::foreign([entry])).await;
        fake.at("/c", Reply::ok("text/plain", "much"));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let error = reader.fails().await;
        assert!(error.contains("not well-formed"), "{name}: {error}");
        assert_eq!(reader.ids().await, ids([]), "{name}");
    }
}

async fn an_entry_without_an_id_is_no_event<B: Recording>(url: &str) {
    let nameless = |number| Entry::new("", &Entry::foreign(number).updated).text("nameless");
    let blank = Entry::new("", "2026-05-01T00:00:00Z")
        .with("<id></id>")
        .text("blank");
    let documents = [
        Atom::foreign([nameless(2), Entry::foreign(1)]),
        Atom::foreign([nameless(3), nameless(2), Entry::foreign(1)]),
        Atom::foreign([blank, Entry::foreign(1)]),
    ];
    for (number, document) in documents.iter().enumerate() {
        let fake = serving(document).await;
        let mut reader = Reader::<B>::of(&number.to_string(), url, &fake.url("/feed")).await;
        // Refused as a whole, or without it.
        let _ = reader.poll().await;
        let known = reader.ids().await;
        assert!(!known.contains(&String::new()), "an event without an id");
        fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
        reader.takes(&ids(1..=3)).await;
    }
}

async fn unusual_entries_do_not_affect_others<B: Recording>(url: &str) {
    let long = "x".repeat(100_000);
    let strange = [
        Entry::new(&format!("tag:{long}"), "2026-05-01T00:00:01Z").text("long id"),
        Entry::new("tag:ä😀", "2026-05-01T00:00:02Z").text("no ASCII"),
        Entry::new("'; DROP TABLE effect; --", "2026-05-01T00:00:03Z").text("'; --"),
        Entry::new("not an IRI at all", "2026-05-01T00:00:04Z").text(""),
        Entry::new("tag:long", "2026-05-01T00:00:05Z").text(&long),
        Entry::new("tag:empty", "2026-05-01T00:00:06Z").with("<content/>"),
        Entry::new("tag:titles", "2026-05-01T00:00:07Z")
            .with("<title/><title/>")
            .text("x"),
        Entry::new("tag:entity", "2026-05-01T00:00:09Z").with("<rights>&nobody;</rights>"),
        Entry::new("tag:raw", "2026-05-01T00:00:10Z").with("<content>a\0b</content>"),
        Entry::new("tag:null", "2026-05-01T00:00:08Z").with("<content>a&#0;b</content>"),
    ];
    // Each may be applied, parked or refused, but none blocks the correct feed.
    for (number, entry) in strange.into_iter().enumerate() {
        let fake = serving(&Atom::foreign([Entry::foreign(90), entry])).await;
        let mut reader = Reader::<B>::of(&number.to_string(), url, &fake.url("/feed")).await;
        let polled = reader.poll().await;
        println!("{number}: {polled:?}, {:?}", reader.parked().await);
        fake.at("/feed", Reply::feed(Atom::of(90..=92).xml()));
        reader.drain().await;
        let found = reader.ids().await;
        let once = |id| found.iter().filter(|known| *known == id).count() == 1;
        assert!(ids(90..=92).iter().all(once), "{number}: {found:?}");
    }
}
