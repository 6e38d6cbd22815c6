//! The same feed as other programs write it: with prefixes, indented, in another charset, with a
//! byte order mark, as XML in CDATA, with a delta as the answer. The effects are the same.

use harness::fake::{Atom, Entry, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, ids, serving};

harness::on_both_databases! {
    names_are_read_by_namespace
    a_prefix_that_is_not_declared_is_refused
    a_feed_of_another_namespace_is_refused
    white_space_is_no_part_of_an_iri_or_a_date
    an_event_of_ours_is_the_same_when_indented
    a_document_is_decoded_once
    a_document_that_cannot_be_decoded_is_refused
    data_is_decoded_by_its_media_type
    a_byte_order_mark_is_no_part_of_the_data
    xml_may_be_written_as_text
    a_delta_of_another_server_is_applied
}

const ATOM: &str = "http://www.w3.org/2005/Atom";

/// The same document with that prefix on all names of Atom.
fn prefixed(document: &str, prefix: &str) -> String {
    let mut text = document.replace(
        &format!("xmlns=\"{ATOM}\""),
        &format!("xmlns:{prefix}=\"{ATOM}\""),
    );
    for name in [
        "feed",
        "entry",
        "id",
        "title",
        "updated",
        "published",
        "author",
        "name",
        "link",
        "content",
        "summary",
        "category",
    ] {
        for end in [" ", ">", "/"] {
            text = text.replace(&format!("<{name}{end}"), &format!("<{prefix}:{name}{end}"));
        }
        text = text.replace(&format!("</{name}>"), &format!("</{prefix}:{name}>"));
    }
    text
}

/// Three entries in two documents; the data of one is elsewhere.
fn serve(fake: &Fake, rewrite: impl Fn(String) -> String) {
    let second = Entry::new(&ids([2])[0], &Entry::foreign(2).updated).src("/data");
    let head = Atom::foreign([Entry::foreign(3), second]).link("next", "/older");
    fake.at("/feed", Reply::feed(rewrite(head.xml())));
    fake.at("/older", Reply::feed(rewrite(Atom::of(1..=1).xml())));
    fake.at("/data", Reply::ok("application/json", "{\"id\":2}"));
}

async fn takes_all<B: Recording>(name: &str, url: &str, rewrite: impl Fn(String) -> String) {
    let fake = Fake::start().await;
    serve(&fake, rewrite);
    let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=3)).await;
    let data = reader.data().await;
    assert_eq!(data, ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"], "{name}");
    // As it was written before: nothing in it is new.
    serve(&fake, |document| document);
    reader.takes(&ids(1..=3)).await;
}

async fn names_are_read_by_namespace<B: Recording>(url: &str) {
    let plain = format!("xmlns=\"{ATOM}\"");
    takes_all::<B>("a prefix", url, |text| prefixed(&text, "atom")).await;
    takes_all::<B>("a strange one", url, |text| prefixed(&text, "_x.1-")).await;
    takes_all::<B>("beside another default", url, |text| {
        prefixed(&text, "a").replace("<a:feed ", "<a:feed xmlns=\"urn:other\" ")
    })
    .await;
    // Entries alone have a prefix, or declare it themselves.
    takes_all::<B>("both", url, |text| {
        let declared = format!("{plain} xmlns:b=\"{ATOM}\"");
        text.replace(&plain, &declared)
            .replace("<entry>", "<b:entry>")
            .replace("</entry>", "</b:entry>")
    })
    .await;
    takes_all::<B>("declared where it is used", url, |text| {
        let entry = format!("<b:entry xmlns:b=\"{ATOM}\">");
        text.replace("<entry>", &entry)
            .replace("</entry>", "</b:entry>")
            .replace("<id>", &format!("<c:id xmlns:c=\"{ATOM}\">"))
            .replace("</id>", "</c:id>")
    })
    .await;
    takes_all::<B>("the default changes", url, |text| {
        text.replace("<entry>", &format!("<entry {plain}>"))
            .replace(
                "<author>",
                "<other xmlns=\"urn:other\"><entry><id>trap</id></entry></other><author>",
            )
    })
    .await;
}

async fn is_refused<B: Recording>(name: &str, url: &str, document: String, why: &str) {
    let fake = Fake::start().await;
    fake.at("/feed", Reply::feed(document));
    let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
    let error = reader.fails().await;
    assert!(error.contains(why), "{name}: {error}");
    fake.at("/feed", Reply::feed(Atom::of(1..=2).xml()));
    reader.takes(&ids(1..=2)).await;
}

/// It would be read as a feed without entries.
async fn a_prefix_that_is_not_declared_is_refused<B: Recording>(url: &str) {
    let feed = Atom::of(1..=2).xml();
    let entries = feed
        .replace("<entry>", "<a:entry>")
        .replace("</entry>", "</a:entry>");
    is_refused::<B>("entries", url, entries, "prefix a ").await;
    let contents = feed
        .replace("<content", "<a:content")
        .replace("</content", "</a:content");
    is_refused::<B>("contents", url, contents, "prefix a ").await;
}

async fn a_feed_of_another_namespace_is_refused<B: Recording>(url: &str) {
    let feed = Atom::of(1..=2).xml();
    for (name, namespace) in [
        ("Atom 0.3", "xmlns=\"http://purl.org/atom/ns#\""),
        ("none", ""),
        ("another", "xmlns=\"urn:other\""),
    ] {
        let other = feed.replace(&format!("xmlns=\"{ATOM}\""), namespace);
        is_refused::<B>(name, url, other, "not an Atom feed").await;
    }
}

async fn white_space_is_no_part_of_an_iri_or_a_date<B: Recording>(url: &str) {
    let around = |text: String, space: &str| {
        let mut text = text;
        for name in ["id", "updated", "published"] {
            text = text
                .replace(&format!("<{name}>"), &format!("<{name}>{space}"))
                .replace(&format!("</{name}>"), &format!("{space}</{name}>"));
        }
        for name in ["href", "src", "rel"] {
            let (from, to) = (format!(" {name}=\""), format!(" {name}=\"{space}"));
            text = text.replace(&from, &to);
        }
        text.replace("\"/>", &format!("{space}\"/>"))
    };
    takes_all::<B>("indented", url, |text| around(text, "\n    ")).await;
    takes_all::<B>("tabs", url, |text| around(text, "\t")).await;
    takes_all::<B>("by reference", url, |text| around(text, "&#13;&#10;")).await;
    takes_all::<B>("comments", url, |text| {
        text.replace("<id>", "<id><!-- of it -->\n<?x y?>")
    })
    .await;
}

async fn an_event_of_ours_is_the_same_when_indented<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let feed = Numbered::new(9);
    feed.serve(&fake);
    let indented = feed.head().xml().replace("><", ">\n  <");
    let mut text = indented;
    for name in [
        "id",
        "updated",
        "event:sequence",
        "event:subject",
        "event:cursor",
        "event:epoch",
    ] {
        text = text
            .replace(&format!("<{name}>"), &format!("<{name}>\n   "))
            .replace(&format!("</{name}>"), &format!("\n  </{name}>"));
    }
    fake.at("/feed", Reply::feed(text));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(9)).await;
    feed.serve(&fake);
    reader.takes(&Numbered::ids(9)).await;
}

/// A document in which each kind of content has a name that is not in ASCII.
fn named(declaration: &str) -> String {
    let contents = [
        "<content>Müller</content>",
        "<content type=\"html\">&lt;b>Müller&lt;/b></content>",
        "<content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\">Müller</div></content>",
        "<content type=\"application/xml\"><name first=\"ü\">Müller</name></content>",
        "<content type=\"application/x+xml\"><![CDATA[<name>Müller</name>]]></content>",
    ];
    let entries = contents.iter().zip(1..).map(|(content, number)| {
        let bare = Entry::foreign(number);
        Entry {
            markup: (*content).to_owned(),
            ..bare
        }
    });
    let text = Atom::foreign(entries).xml();
    text.replace("<?xml version=\"1.0\" encoding=\"utf-8\"?>", declaration)
}

async fn a_document_is_decoded_once<B: Recording>(url: &str) {
    // In both charsets this letter has this byte.
    let latin = |text: &str| -> Vec<u8> {
        let byte = |character: char| u8::try_from(u32::from(character)).unwrap();
        text.chars().map(byte).collect()
    };
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let declared = |charset: &str| named(&format!("<?xml version='1.0' encoding='{charset}'?>"));
    let marked = [&b"\xfe\xff"[..], &wide(&named(""))].concat();
    for (name, media_type, body) in [
        ("UTF-8", "application/atom+xml", named("").into_bytes()),
        (
            "ISO-8859-1",
            "application/atom+xml",
            latin(&declared("ISO-8859-1")),
        ),
        ("windows-1252", "text/xml", latin(&declared("windows-1252"))),
        ("UTF-16", "application/atom+xml", marked),
        (
            "UTF-16 without a mark",
            "application/atom+xml",
            wide(&declared("UTF-16")),
        ),
        (
            "by the header",
            "application/atom+xml; charset=ISO-8859-1",
            latin(&named("")),
        ),
        (
            "the header decides",
            "text/xml;charset=\"iso-8859-1\"",
            latin(&declared("koi8-r")),
        ),
    ] {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::ok(media_type, body));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=5)).await;
        for data in reader.data().await {
            assert!(data.contains("Müller"), "{name}: {data}");
        }
    }
}

async fn a_document_that_cannot_be_decoded_is_refused<B: Recording>(url: &str) {
    for (name, media_type, charset) in [
        ("not UTF-8", "application/atom+xml", "UTF-8"),
        ("says UTF-8", "application/atom+xml; charset=utf-8", "utf-8"),
        ("ASCII", "text/xml; charset=us-ascii", "us-ascii"),
        ("unknown", "text/xml; charset=klingon", "klingon"),
    ] {
        let fake = serving(&Atom::of(1..=1)).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=1)).await;
        let body = [&b"<feed>M\xfcller"[..], named("").as_bytes()].concat();
        fake.at("/feed", Reply::ok(media_type, body));
        let error = reader.fails().await;
        assert!(error.contains(charset), "{name}: {error}");
        assert_eq!(reader.ids().await, ids(1..=1));
    }
}

async fn data_is_decoded_by_its_media_type<B: Recording>(url: &str) {
    let data = [
        ("text/plain; charset=iso-8859-1", b"M\xfcller".to_vec()),
        ("application/json", "Müller".as_bytes().to_vec()),
        (
            "application/xml",
            b"<?xml version='1.0' encoding='iso-8859-1'?><a>M\xfcller</a>".to_vec(),
        ),
        (
            "text/plain; charset=utf-16",
            b"\xff\xfeM\0\xfc\0l\0l\0e\0r\0".to_vec(),
        ),
        // Not decodable: parked alone, with the reason.
        ("text/plain; charset=klingon", b"Muller".to_vec()),
        ("application/json", b"M\xfcller".to_vec()),
    ];
    let entries = (1..=6).map(|number| {
        let bare = Entry::foreign(number);
        Entry {
            markup: String::new(),
            ..bare
        }
        .src(&format!("/{number}"))
    });
    let fake = serving(&Atom::foreign(entries)).await;
    for ((media_type, body), number) in data.into_iter().zip(1..) {
        fake.at(&format!("/{number}"), Reply::ok(media_type, body));
    }
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    assert_eq!(reader.ids().await, ids(1..=4));
    for data in reader.data().await {
        assert!(data.contains("Müller"), "{data}");
    }
    let reasons: Vec<_> = reader
        .parked()
        .await
        .into_iter()
        .filter_map(|event| event.reason)
        .collect();
    assert!(
        reasons[0].contains("klingon") && reasons[1].contains("UTF-8"),
        "{reasons:?}"
    );
}

async fn a_byte_order_mark_is_no_part_of_the_data<B: Recording>(url: &str) {
    let mark = "\u{feff}";
    let contents = [
        "<content type=\"application/json\" src=\"/data\"/>".to_owned(),
        format!("<content>{mark}{{\"id\":7}}</content>"),
        format!("<content type=\"text/json\"><![CDATA[{mark}{{\"id\":7}}]]></content>"),
        // The same in Base64.
        "<content type=\"application/json\">77u/eyJpZCI6N30=</content>".to_owned(),
        format!("<content type=\"application/xml\">{mark}{{\"id\":7}}</content>"),
    ];
    let entries = contents.into_iter().zip(1..).map(|(markup, number)| {
        let bare = Entry::foreign(number);
        Entry { markup, ..bare }
    });
    let fake = serving(&Atom::foreign(entries)).await;
    let data = format!("{mark}{{\"id\":7}}");
    fake.at("/data", Reply::ok("application/json", data));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=5)).await;
    assert_eq!(reader.data().await, ["{\"id\":7}"; 5]);
}

async fn xml_may_be_written_as_text<B: Recording>(url: &str) {
    let path = "/openmrs/ws/rest/v1/patient/0a1b?v=full&s=1";
    let order = "<order id=\"7\"><line>a &amp; b</line></order>";
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    for (name, markup, expected) in [
        ("CDATA", format!("<![CDATA[{path}]]>"), path),
        ("with space", format!("\n  <![CDATA[{path}]]>\n"), path),
        ("a whole document", format!("<![CDATA[{order}]]>"), order),
        (
            "two sections",
            "<![CDATA[<a>]]]]><![CDATA[></a>]]>".to_owned(),
            "<a>]]></a>",
        ),
        (
            "with a comment",
            format!("<!-- of it --><![CDATA[{path}]]>"),
            path,
        ),
        ("escaped", escaped(order), order),
        ("as elements", order.to_owned(), order),
        (
            "elements with a section",
            "<a><![CDATA[<b>]]></a>".to_owned(),
            "<a><![CDATA[<b>]]></a>",
        ),
    ] {
        for media_type in [
            "application/vnd.atomfeed+xml",
            "text/xml",
            "application/xml; charset=utf-8",
        ] {
            let content = format!("<content type=\"{media_type}\">{markup}</content>");
            let bare = Entry::foreign(1);
            let fake = serving(&Atom::foreign([Entry {
                markup: content,
                ..bare
            }]))
            .await;
            let name = format!("{name}, {media_type}");
            let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
            reader.takes(&ids([1])).await;
            assert_eq!(reader.data().await, [expected], "{name}");
        }
    }
}

/// Some servers answer `A-IM: feed` with what is newer in their window, which may have moved on;
/// and some answer `226` to every request.
async fn a_delta_of_another_server_is_applied<B: Recording>(url: &str) {
    for (name, whatever) in [("asked for", false), ("whatever is asked", true)] {
        let fake = Fake::start().await;
        let serve = |from: u32, to: u32, delta: u32| {
            let whole = Reply::feed(Atom::of(from..=to).xml()).header("etag", format!("\"{to}\""));
            let part = Reply::status(226)
                .header("content-type", "application/atom+xml")
                .header("im", "feed")
                .header("etag", format!("\"{to}\""))
                .body(Atom::of(delta..=to).xml());
            fake.each("/feed", move |asked| {
                let same = asked.header("if-none-match") == Some(&format!("\"{to}\""));
                let asks = whatever || asked.header("a-im").is_some();
                match asked.header("if-none-match") {
                    Some(_) if same => Reply::status(304),
                    Some(_) if asks => part.clone(),
                    _ => whole.clone(),
                }
            });
        };
        serve(1, 10, 1);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=10)).await;
        for newest in [11, 12, 17] {
            serve(newest - 9, newest, newest);
            reader.takes(&ids(1..=newest)).await;
        }
    }
}
