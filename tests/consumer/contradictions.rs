//! Documents in our format that contradict themselves: nothing of them is applied, and the same
//! consumer then reads the correct feed.

use feed_core::consumer::Polled;
use harness::fake::{Atom, Entry, Numbered, Reply};
use harness::tables;

use crate::support::{Reader, Recording, numbered};

harness::on_both_databases! {
    contradictions_are_refused
    doubtful_documents_apply_each_event_once
    the_order_of_numbered_entries_has_no_meaning
    a_cursor_ahead_of_its_entries_skips_nothing
    a_feed_that_loses_its_numbers_is_an_error
    a_cursor_needs_ids_that_it_can_name
    a_stored_cursor_that_cannot_be_read_halts
}

/// The next events, and one that is known already.
fn entries(known: i64) -> Vec<Entry> {
    (known..=known + 4).rev().map(Numbered::entry).collect()
}

/// The same event with another number.
fn renumbered(sequence: i64, number: &str) -> Entry {
    let entry = Numbered::entry(sequence);
    let element = |text: &str| format!("<event:sequence>{text}</event:sequence>");
    let markup = entry.markup.replace(
        &element(&sequence.to_string()),
        &match number {
            "" => String::new(),
            number => element(number),
        },
    );
    Entry { markup, ..entry }
}

/// Documents after event `known` that must be refused.
fn contradictions(known: i64) -> Vec<(&'static str, Atom)> {
    let feed = Numbered::new(known + 4);
    let cursor = feed.cursor(known + 4);
    // The entries at 0 to 4 are those of `known` + 4 down to `known`.
    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = entries(known);
        change(&mut entries);
        Atom::ours(&cursor, entries)
    };
    let number =
        |text: &'static str| changed(&move |entries| entries[1] = renumbered(known + 3, text));
    let far = |last: i64| {
        let text = cursor.replace(&format!(".{}.", known + 4), &format!(".{last}."));
        let number = |back: i64| renumbered(known + 4 - back, &(last - back).to_string());
        Atom::ours(&text, (0..5).map(number))
    };
    vec![
        ("a hole", changed(&|entries| drop(entries.remove(2)))),
        (
            "a hole before the last",
            changed(&|entries| drop(entries.remove(1))),
        ),
        ("no end", changed(&|entries| drop(entries.remove(0)))),
        (
            "a number for two events",
            changed(&|entries| entries[1] = renumbered(known + 3, &(known + 2).to_string())),
        ),
        (
            "an event twice",
            changed(&|entries| entries.push(Numbered::entry(known + 2))),
        ),
        (
            "an id for two events",
            changed(&|entries| entries[1].id = Numbered::id(known + 2)),
        ),
        (
            "a cursor behind",
            Atom::ours(&feed.cursor(known + 2), entries(known)),
        ),
        (
            "a cursor ahead",
            Atom::ours(&feed.cursor(known + 9), entries(known)),
        ),
        (
            "a cursor at the beginning",
            Atom::ours(&feed.cursor(0), entries(known)),
        ),
        ("no cursor at all", Atom::ours("tomorrow", entries(known))),
        ("an empty cursor", Atom::ours("", entries(known))),
        ("no number", number("")),
        ("zero", number("0")),
        ("negative", number("-3")),
        ("a fraction", number("3.0")),
        ("words", number("three")),
        ("2^53 + 1", number("9007199254740993")),
        ("2^64", number("18446744073709551616")),
        ("no id", changed(&|entries| entries[1].id.clear())),
        ("all beyond 2^53", far((1 << 53) + 7)),
        ("all at the end of numbers", far(i64::MAX)),
    ]
}

async fn contradictions_are_refused<B: Recording>(url: &str) {
    const KNOWN: i64 = 3;
    let mut believed = Vec::new();
    for (name, document) in contradictions(KNOWN) {
        let fake = numbered(KNOWN).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(KNOWN)).await;
        // `?after=` says the same.
        let tag = "\"contradiction\"";
        fake.at("/feed", Reply::feed(document.xml()).header("etag", tag));
        if reader.poll().await.is_ok() || reader.poll().await.is_ok() {
            believed.push(name);
            continue;
        }
        assert_eq!(reader.ids().await, Numbered::ids(KNOWN), "{name}");
        let status = reader.status().await;
        assert_eq!((status.sequence, status.halted), (KNOWN, None), "{name}");
        Numbered::new(KNOWN + 5).serve(&fake);
        reader.takes(&Numbered::ids(KNOWN + 5)).await;
    }
    assert!(believed.is_empty(), "taken, or halted: {believed:?}");
}

async fn doubtful_documents_apply_each_event_once<B: Recording>(url: &str) {
    let feed = Numbered::new(6);
    let fits = |anchor: &str| {
        let cursor = feed.cursor(6);
        let (front, _) = cursor.rsplit_once('.').unwrap();
        Atom::ours(&format!("{front}.{anchor}"), entries(2))
    };
    let epoch = feed.head().xml();
    let epoch = epoch.replace("<event:epoch>fakefeed", "<event:epoch>otherfed");
    for (name, document) in [
        (
            "unknown anchor",
            fits("00000000000000000000000000000000").xml(),
        ),
        (
            "anchor of another",
            fits(&Numbered::id(5)[9..].replace('-', "")).xml(),
        ),
        ("epoch of another", epoch),
        ("twice the cursor", {
            let cursor = format!("<event:cursor>{}</event:cursor>", feed.cursor(4));
            feed.head().with(&cursor).xml()
        }),
    ] {
        let fake = numbered(2).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(2)).await;
        feed.serve(&fake);
        fake.at("/feed", Reply::feed(document));
        // Either result is right.
        println!("{name}: {:?}", reader.poll().await);
        Numbered::new(7).serve(&fake);
        reader.takes(&Numbered::ids(7)).await;
    }
}

async fn the_order_of_numbered_entries_has_no_meaning<B: Recording>(url: &str) {
    let feed = Numbered::new(9);
    for (name, order) in [
        ("oldest first", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("rotated", [5, 6, 7, 8, 9, 1, 2, 3, 4]),
        ("shuffled", [3, 9, 1, 6, 4, 8, 2, 7, 5]),
    ] {
        let fake = numbered(9).await;
        let mut head = feed.head();
        head.entries = order.map(Numbered::entry).to_vec();
        fake.each("/feed", move |asked| match asked.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => Reply::feed(head.xml()).header("etag", "\"nine\""),
        });
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(9)).await;
    }
}

async fn a_cursor_ahead_of_its_entries_skips_nothing<B: Recording>(url: &str) {
    let fake = numbered(5).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(5)).await;
    // By the cursor alone, it would look like "nothing new".
    let feed = Numbered::new(9);
    let nothing = Atom::ours(&feed.cursor(9), []).xml();
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(_) => Reply::feed(feed.document(6, 9).link("current", "/feed").xml()),
        None => Reply::feed(nothing.clone()),
    });
    let _ = reader.poll().await;
    let ids = reader.ids().await;
    assert_eq!(ids, Numbered::ids(ids.len().try_into().unwrap()));
    Numbered::new(10).serve(&fake);
    reader.takes(&Numbered::ids(10)).await;
    // Nor where `?after=` says the same.
    let last = Atom::ours(&Numbered::new(14).cursor(14), []).xml();
    fake.at("/feed", Reply::feed(last));
    println!("{:?}", reader.poll().await);
    println!("{:?}", reader.poll().await);
    assert_eq!(reader.ids().await, Numbered::ids(10));
    assert_eq!(reader.status().await.sequence, 10);
}

async fn a_feed_that_loses_its_numbers_is_an_error<B: Recording>(url: &str) {
    let fake = numbered(5).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(5)).await;
    for document in [Atom::of(1..=9), Atom::foreign((6..=9).map(Numbered::entry))] {
        let document = document.attribute("xmlns:event", "urn:another").xml();
        fake.at("/feed", Reply::feed(document));
        reader.fails().await;
        assert_eq!(reader.ids().await, Numbered::ids(5));
        assert_eq!(reader.status().await.halted, None);
    }
    Numbered::new(9).serve(&fake);
    reader.takes(&Numbered::ids(9)).await;
}

/// The cursor after an event contains its id.
async fn a_cursor_needs_ids_that_it_can_name<B: Recording>(url: &str) {
    let named = |sequence: i64| Entry {
        id: format!("tag:example.com,2026:{sequence}"),
        ..Numbered::entry(sequence)
    };
    let fake = numbered(4).await;
    let document = Atom::ours(&Numbered::new(4).cursor(4), (1..=4).rev().map(named));
    fake.at("/feed", Reply::feed(document.xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let error = reader.fails().await;
    assert!(error.contains("tag:example.com,2026:"), "{error}");
    assert!(
        error.contains("urn:uuid:") && !error.contains("database"),
        "{error}"
    );
    assert_eq!(reader.ids().await, Vec::<String>::new());
    Numbered::new(4).serve(&fake);
    reader.takes(&Numbered::ids(4)).await;
}

/// As versions stored it that took such ids.
async fn a_stored_cursor_that_cannot_be_read_halts<B: Recording>(url: &str) {
    let fake = numbered(4).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(4)).await;
    tables::run(
        url,
        "UPDATE feed_partition SET anchor = 'tag:example.com,2026:4', etag = NULL",
    )
    .await;
    Numbered::new(400).serve(&fake);
    let mut reader = reader.again(url, &fake.url("/feed")).await;
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    let reason = reader.status().await.halted.unwrap();
    assert!(reason.contains("tag:example.com,2026:4"), "{reason}");
    assert!(reason.contains("resume --from-start"), "{reason}");
}
