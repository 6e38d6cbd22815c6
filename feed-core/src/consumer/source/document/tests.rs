use super::*;
use crate::consumer::source::body::LARGEST;
use crate::consumer::source::entry::ENTRY_PARTS;
use crate::http::NAMESPACE;

pub(crate) fn read(body: &str) -> Result<Document, InvalidDocument> {
    let url = Url::parse("http://order:8080/feed").expect("a URL");
    Document::read(body.as_bytes(), None, url)
}

#[test]
fn hostile_documents_are_refused() {
    let bomb = "<!DOCTYPE f [<!ENTITY a \"b\">]><feed xmlns=\"http://www.w3.org/2005/Atom\"/>";
    assert!(matches!(read(bomb), Err(InvalidDocument::DocumentType)));
    let deep = format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\">{}",
        "<a>".repeat(100_000)
    );
    assert!(matches!(read(&deep), Err(InvalidDocument::TooDeep)));
    for wrong in [
        "",
        "<html><body>Please log in</body></html>",
        "<feed><entry>",
        "{}",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

/// A document that contains `inside`.
pub(crate) fn feed(inside: &str) -> String {
    format!("<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:m=\"urn:m\">{inside}</feed>")
}

/// The content of an entry.
fn value(entry: &FoundEntry) -> &str {
    let content = entry.content.as_ref().expect("a content");
    content.value().expect("a value")
}

#[test]
fn an_element_of_another_namespace_is_another() {
    let content = |n: u32| format!("<content type=\"xhtml\"><b>{n}</b></content>");
    let entry = |n: u32, markup: &str| format!("<entry><id>{n}</id>{markup}</entry>");
    let one = entry(1, &format!("{}<m:content url=\"x\"/>", content(1)));
    let two = entry(2, &format!("<m:content>no</m:content>{}", content(2)));
    let stray = "<m:entry><m:content/></m:entry><author><content>no</content></author>";
    let document = read(&feed(&format!("{one}{stray}{two}"))).expect("a document");
    let contents: Vec<_> = document.entries.iter().map(value).collect();
    assert_eq!(contents, ["<b>2</b>", "<b>1</b>"]);
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    let entry = "<entry><id>1</id><content type=\"xhtml\"><b>1</b></content></entry>";
    let document = read(&format!("\u{feff}{}", feed(entry))).expect("a document");
    assert_eq!(value(&document.entries[0]), "<b>1</b>");
}

#[test]
fn a_base_is_read_without_its_escapes() {
    let entry = "<entry xml:base=\"?a=1&amp;b=2\"><id>1</id></entry>";
    let document = read(&feed(entry)).expect("a document");
    assert_eq!(document.entries[0].base.as_deref(), Some("?a=1&b=2"));
}

/// The feed of the shop that this one is modelled on has all orders in one document.
#[test]
fn a_document_is_read_up_to_the_bound_of_its_bytes() {
    let order = |number: usize| {
        format!(
            "<entry><title>Order {number}</title><id>tag:example.com/microservice-atom/order/{number}</id>\
             <updated>2017-05-01T10:00:05Z</updated><content type=\"application/json\" \
             src=\"http://order:8080/order/{number}\"/><summary>This is the order {number}</summary></entry>"
        )
    };
    let count = LARGEST / order(100_000).len();
    let document = read(&feed(&(0..count).map(order).collect::<String>()));
    assert_eq!(document.expect("a document").entries.len(), count);
}

/// Each element or attribute takes many times the memory of its text.
#[test]
fn what_would_take_much_memory_is_refused() {
    for (part, parts) in [
        ("<entry/>", 1 + ENTRY_PARTS),
        ("<link/>", 1),
        ("<m:a b=\"\"/>", 2),
        ("<a xmlns:n=\"\"/>", 2),
    ] {
        let many = feed(&part.repeat(MOST_PARTS / parts + 1));
        let refused = read(&many);
        assert!(
            matches!(refused, Err(InvalidDocument::TooManyParts)),
            "{part}"
        );
    }
    let mut entries = size_of::<FoundEntry>() * (MOST_PARTS / (1 + ENTRY_PARTS));
    entries += entries / 2; // to sort them
    let links = size_of::<Link>() * MOST_PARTS;
    assert!(entries.max(links) < 128 << 20, "{entries}, {links}");
    // The inside of a content is text to the reader.
    let much = "<b c=\"\"/>".repeat(MOST_PARTS);
    let entry = format!("<entry><id>1</id><content type=\"xhtml\">{much}</content></entry>");
    let document = read(&feed(&entry)).expect("a document");
    assert_eq!(value(&document.entries[0]), much);
    assert!(document.size > much.len() + size_of::<FoundEntry>());
}

/// Each is stored with its event, and listed.
#[test]
fn a_long_name_is_refused_and_what_is_no_trace_is_dropped() {
    let long = "n".repeat(LONGEST_NAME + 1);
    let entry = |id: &str, subject: &str, event_type: &str, trace: &str| {
        let entry = format!(
            "<entry><id>{id}</id><category scheme=\"{NAMESPACE}\" term=\"{event_type}\"/>\
             <e:subject xmlns:e=\"{NAMESPACE}\">{subject}</e:subject>\
             <e:traceparent xmlns:e=\"{NAMESPACE}\">{trace}</e:traceparent></entry>"
        );
        read(&feed(&entry))
    };
    for (id, subject, event_type) in [(&*long, "s", "t"), ("i", &long, "t"), ("i", "s", &long)] {
        let refused = entry(id, subject, event_type, "").expect_err("a long name");
        assert!(
            refused.to_string().contains("longer than 2000"),
            "{refused}"
        );
    }
    let longest = &long[1..];
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (given, kept) in [(trace, Some(trace)), (&long, None), ("", None)] {
        let document = entry(longest, longest, longest, given).expect("a document");
        assert_eq!(document.entries[0].traceparent.as_deref(), kept);
    }
}

/// A document of a feed with sequences, with the events from `first` to `last`, and `links`.
pub(in crate::consumer) fn numbered(first: i64, last: i64, links: &str) -> String {
    let id = |n: i64| format!("00000000-0000-0000-0000-{n:012}");
    let entry = |n: i64| {
        format!(
            "<entry><id>urn:uuid:{}</id><updated>2026-01-01T00:00:00Z</updated>\
             <ev:sequence>{n}</ev:sequence><ev:subject>order/{n}</ev:subject></entry>",
            id(n)
        )
    };
    let entries: String = (first..=last).map(entry).collect();
    let anchor = match last {
        0 => String::new(),
        last => format!(".{}", id(last).replace('-', "")),
    };
    format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:ev=\"{NAMESPACE}\" \
         xmlns:fh=\"http://purl.org/syndication/history/1.0\">\
         <ev:cursor>abcdefgh.{last}{anchor}</ev:cursor>{links}{entries}</feed>"
    )
}

/// Of a feed without sequences. Of equal dates, the order of the document decides.
#[test]
fn entries_are_read_oldest_first() {
    for (listed, read_as) in [
        ("5/3 4/2 3/1 2/1 1/1", "1 2 3 4 5"),
        ("1/1 2/1 3/1 4/2 5/3", "1 2 3 4 5"),
        ("1/1 2/1 3/2 4/2", "1 2 3 4"),
        // One was edited, or is pinned.
        ("1/1 2/1 3/9 4/2 5/2 6/4", "1 2 4 5 6 3"),
        ("6/4 1/0 5/2 4/2 3/1 2/1", "1 2 3 4 5 6"),
        // Nothing shows an order: most feeds list the newest first.
        ("3/1 2/1 1/1", "1 2 3"),
    ] {
        let entry = |word: &str| {
            let (id, minute) = word.split_once('/').expect("a minute");
            format!("<entry><id>{id}</id><updated>2026-05-01T00:0{minute}:00Z</updated></entry>")
        };
        let document = read(&feed(&listed.split(' ').map(entry).collect::<String>()));
        let entries = document.expect("a document").entries;
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids.join(" "), read_as, "{listed}");
    }
}

#[test]
fn a_view_of_a_part_is_refused_where_the_feed_has_numbers() {
    let view = |query| {
        numbered(
            1,
            1,
            &format!("<link rel=\"first\" href=\"/feed?{query}\"/>"),
        )
    };
    for query in ["type=order.placed", "subject=order%2F1"] {
        let filtered = read(&view(query)).expect("a document");
        assert!(filtered.is_filtered(), "{query}");
    }
    let paged = read(&view("page=1")).expect("a document");
    assert!(!paged.is_filtered(), "paged, and whole");
    let blog = feed("<link rel=\"first\" href=\"/feed?type=news\"/><entry><id>1</id></entry>");
    let blog = read(&blog).expect("a document");
    assert!(!blog.is_filtered(), "nothing is numbered there");
}

#[test]
fn a_hole_in_a_document_is_refused_and_its_order_has_no_meaning() {
    let id = |n: u64| format!("urn:uuid:00000000-0000-0000-0000-{n:012}");
    let entry = |n: &u64| {
        format!(
            "<entry><id>{}</id><title>t</title><updated>2026-01-01T00:00:00Z</updated>\
             <ev:sequence>{n}</ev:sequence></entry>",
            id(*n)
        )
    };
    let feed = |entries: &[u64], last: u64| {
        let entries: String = entries.iter().map(entry).collect();
        format!(
            "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:ev=\"{NAMESPACE}\"><id>i</id>\
             <title>t</title><updated>2026-01-01T00:00:00Z</updated>\
             <ev:cursor>abcdefgh.{last}.0192f0c1e0d07b33a1a2c3d4e5f60718</ev:cursor>\
             {entries}</feed>"
        )
    };
    let document = read(&feed(&[2, 4, 3], 4)).expect("a document");
    let ids: Vec<_> = document
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(ids, [2, 3, 4].map(id));
    assert!(read(&feed(&[2, 4], 4)).is_err());
    assert!(read(&feed(&[2, 2], 2)).is_err());
    assert!(read(&feed(&[2, 3], 4)).is_err());
    // What is left out on request is no hole; everything else is.
    let omitting = |ranges: &str, entries: &[u64], last| {
        let omitted = format!("<ev:omitted partitions=\"0 4\">{ranges}</ev:omitted><entry>");
        read(&feed(entries, last).replacen("<entry>", &omitted, 1))
    };
    let document = omitting("2-3 5 7", &[4, 6], 7).expect("a document");
    assert_eq!((document.first(), document.entries.len()), (Some(2), 2));
    for (ranges, entries, last) in [
        ("2", &[4_u64][..], 4),
        ("3", &[2, 3], 3),
        ("5-6", &[4], 7),
        ("5 4", &[3], 5),
        ("6-5", &[4], 4),
        ("x", &[4], 4),
        ("0-3", &[4], 4),
    ] {
        assert!(omitting(ranges, entries, last).is_err(), "{ranges}");
    }
    assert!(omitting("1", &[2], 2).is_ok());
    let many = "1 ".repeat(MOST_PARTS + 1);
    let refused = omitting(&many, &[2], 2);
    assert!(matches!(refused, Err(InvalidDocument::TooManyParts)));
    for share in ["", "16", "4,0"] {
        let omitted = format!("<ev:omitted partitions=\"{share}\">1</ev:omitted><entry>");
        let document = feed(&[2], 2).replacen("<entry>", &omitted, 1);
        assert!(read(&document).is_err(), "{share}");
    }
    // Beyond the range of a sequence: sums would overflow.
    assert!(read(&feed(&[u64::MAX >> 1], u64::MAX >> 1)).is_err());
}
