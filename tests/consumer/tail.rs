//! `Tail` on feeds without sequences: each new entry once, and an error if some may be missing.

use std::time::Duration;

use feed_core::consumer::{Subscription, Tail, TailError, TailFrom};
use harness::fake::atom::date;
use harness::fake::{Atom, Fake, Reply};

use crate::support::ids;
use crate::windows::feed;

/// Serves `documents`, the newest first, and each with a link to the next older one.
fn serve(fake: &Fake, rel: &str, documents: impl IntoIterator<Item = Atom>) {
    let mut documents = documents.into_iter().enumerate().peekable();
    while let Some((number, document)) = documents.next() {
        let document = match documents.peek() {
            Some((older, _)) => document.link(rel, &format!("/{older}")),
            None => document,
        };
        let path = match number {
            0 => "/feed".to_owned(),
            older => format!("/{older}"),
        };
        fake.at(&path, Reply::feed(document.xml()));
    }
}

fn follow(fake: &Fake, from: TailFrom) -> Tail {
    let subscription = Subscription {
        poll_interval: Duration::from_millis(1),
        ..Subscription::new("tail", fake.url("/feed").parse().unwrap())
    };
    Tail::new(&subscription, from)
}

async fn next(tail: &mut Tail) -> Vec<String> {
    let events = tail.next().await.unwrap().events;
    events.into_iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn old_entries_in_the_head_of_an_archive_hide_no_page() {
    let fake = Fake::start().await;
    serve(
        &fake,
        "prev-archive",
        [Atom::of(19..=20), Atom::of(11..=18)],
    );
    let mut tail = follow(&fake, TailFrom::Newest(1));
    assert_eq!(next(&mut tail).await, ids([20]));
    let head = feed("41 20'40 19'39");
    let pages = [Atom::of(31..=40), Atom::of(21..=30), Atom::of(11..=20)];
    serve(&fake, "prev-archive", [head].into_iter().chain(pages));
    assert_eq!(next(&mut tail).await, ids(21..=41));
    assert_eq!(next(&mut tail).await, ids([]));
}

#[tokio::test]
async fn entries_from_before_the_first_call_are_not_returned() {
    let fake = Fake::start().await;
    serve(&fake, "next", [Atom::of(11..=20), Atom::of(1..=10)]);
    let mut tail = follow(&fake, TailFrom::Newest(2));
    assert_eq!(next(&mut tail).await, ids(19..=20));
    let pages = [
        Atom::of(26..=35),
        Atom::of(16..=25),
        Atom::of(6..=15),
        Atom::of(1..=5),
    ];
    serve(&fake, "next", pages);
    assert_eq!(next(&mut tail).await, ids(21..=35));
    let pages = [Atom::of(41..=50), Atom::of(31..=40), Atom::of(21..=30)];
    serve(&fake, "next", pages);
    assert_eq!(next(&mut tail).await, ids(36..=50));
}

#[tokio::test]
async fn an_entry_of_several_documents_is_returned_once() {
    let fake = Fake::start().await;
    let pages = ["7 12 11 10 9 8", "7 6 5 4", "7 3 2 1"];
    serve(&fake, "next", pages.map(feed));
    let mut tail = follow(&fake, TailFrom::Start);
    let mut all = next(&mut tail).await;
    all.sort();
    let mut expected = ids(1..=12);
    expected.sort();
    assert_eq!(all, expected);
    serve(
        &fake,
        "next",
        ["7 13 12 11 10 9", "7 8 6 5", "7 4 3 2", "7 1"].map(feed),
    );
    assert_eq!(next(&mut tail).await, ids([13]));
}

#[tokio::test]
async fn a_feed_that_moved_on_by_more_than_it_shows_is_lost() {
    let fake = Fake::start().await;
    serve(&fake, "next", [Atom::of(1..=10)]);
    let mut tail = follow(&fake, TailFrom::Start);
    assert_eq!(next(&mut tail).await, ids(1..=10));
    for moved in ["40 39 38 37 36 35", "10'41 40 39 38 37 36 35"] {
        serve(&fake, "next", [feed(moved)]);
        let error = tail.next().await.unwrap_err();
        let TailError::Lost(reason) = error else {
            panic!("{error}");
        };
        assert!(reason.contains(&ids([10])[0]), "{reason}");
    }
    // An outdated cache shows nothing new.
    serve(&fake, "next", [Atom::of(1..=8)]);
    assert_eq!(next(&mut tail).await, ids([]));
    serve(&fake, "next", [Atom::of(8..=12)]);
    assert_eq!(next(&mut tail).await, ids(11..=12));
}

#[tokio::test]
async fn a_large_document_is_returned_once() {
    let fake = Fake::start().await;
    let shown = |newest| {
        let entry = |number| {
            let (id, date) = (&ids([number])[0], date(number));
            format!("<entry><id>{id}</id><updated>{date}</updated></entry>")
        };
        let entries: String = (1..=newest).rev().map(entry).collect();
        fake.at("/feed", Reply::feed(Atom::foreign([]).with(&entries).xml()));
    };
    shown(12_000);
    let mut tail = follow(&fake, TailFrom::Newest(3));
    assert_eq!(next(&mut tail).await, ids(11_998..=12_000));
    for newest in 12_001..=12_003 {
        shown(newest);
        assert_eq!(next(&mut tail).await, ids([newest]));
    }
}

#[tokio::test]
async fn a_further_page_that_stays_older_is_lost() {
    let fake = Fake::start().await;
    let older = || [Atom::of(11..=20), Atom::of(1..=10)];
    serve(
        &fake,
        "next",
        [Atom::of(21..=30)].into_iter().chain(older()),
    );
    let mut tail = follow(&fake, TailFrom::Start);
    assert_eq!(next(&mut tail).await, ids(1..=30));
    serve(
        &fake,
        "next",
        [Atom::of(36..=45)].into_iter().chain(older()),
    );
    assert!(matches!(tail.next().await, Err(TailError::Lost(_))));
    let pages = [Atom::of(36..=45), Atom::of(26..=35), Atom::of(16..=25)];
    serve(&fake, "next", pages.into_iter().chain([Atom::of(1..=15)]));
    assert_eq!(next(&mut tail).await, ids(31..=45));
}
