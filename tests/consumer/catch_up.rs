//! Catching up through pages with errors: each event once, in sequence.

use feed_core::consumer::{Decision, Polled, ResumeFrom};
use harness::fake::{Atom, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, numbered};

harness::on_both_databases! {
    pages_that_overlap_are_applied_once
    pages_in_the_wrong_order_are_applied_in_sequence
    links_that_lead_nowhere_are_abandoned
    a_feed_that_refuses_cursors_halts_until_a_resume
}

/// Five sealed pages, and a half one.
const NEWEST: i64 = 55;

/// Replaces a page.
fn replace(fake: &Fake, page: i64, document: &Atom) {
    let address = Numbered::new(NEWEST).address(page);
    fake.at(&address, Reply::feed(document.xml()));
}

/// A page that names `next` as its successor.
fn leading(page: i64, next: &str) -> Atom {
    let last = page * Numbered::PAGE;
    let document = Numbered::new(NEWEST).document(last - Numbered::PAGE + 1, last);
    document
        .archive()
        .link("current", "/feed")
        .link("next-archive", next)
}

async fn pages_that_overlap_are_applied_once<B: Recording>(url: &str) {
    let fake = numbered(NEWEST).await;
    for page in 2..=5 {
        let last = page * Numbered::PAGE;
        let feed = Numbered::new(NEWEST);
        // Five of the page before are there again.
        let overlap = feed.document(last - Numbered::PAGE - 4, last).archive();
        let overlap = overlap.link("current", "/feed");
        let next = feed.address(page + 1);
        replace(
            &fake,
            page,
            &match page {
                5 => overlap,
                _ => overlap.link("next-archive", &next),
            },
        );
    }
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(NEWEST)).await;
}

async fn pages_in_the_wrong_order_are_applied_in_sequence<B: Recording>(url: &str) {
    let address = |page| Numbered::new(NEWEST).address(page);
    let mut halted = Vec::new();
    for (name, wrong) in [
        ("itself", vec![(1, address(1))]),
        (
            "back",
            vec![(1, address(2)), (2, address(3)), (3, address(1))],
        ),
        ("two at a time", vec![(1, address(3)), (3, address(5))]),
        (
            "the other way",
            vec![(2, address(1)), (3, address(2)), (4, address(3))],
        ),
        ("the head", vec![(1, "/feed".to_owned())]),
        ("nothing", vec![(2, "/none".to_owned())]),
        ("another thing", vec![(2, "/events/7".to_owned())]),
    ] {
        let fake = numbered(NEWEST).await;
        for (page, next) in wrong {
            replace(&fake, page, &leading(page, &next));
        }
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let last = rounds(&mut reader).await;
        println!("{name}: {last:?} after {} requests", fake.asked().len());
        in_sequence(name, &reader).await;
        assert!(fake.asked().len() < 200, "{name}");
        // `?after=` is right all the time: there is no reason to halt.
        if let Some(reason) = reader.status().await.halted {
            halted.push((name, reason));
            continue;
        }
        for page in 1..=5 {
            fake.forget(&address(page));
        }
        reader.takes(&Numbered::ids(NEWEST)).await;
    }
    assert!(halted.is_empty(), "{halted:#?}");
}

async fn links_that_lead_nowhere_are_abandoned<B: Recording>(url: &str) {
    let feed = Numbered::new(NEWEST);
    for (name, reply) in [
        (
            "always the first page",
            Reply::redirect(303, &feed.address(1)),
        ),
        ("a circle", Reply::redirect(303, "/feed?after=start")),
        ("unavailable", Reply::status(503)),
        ("unknown", Reply::status(404)),
    ] {
        let fake = numbered(NEWEST).await;
        let head = Reply::feed(feed.head().xml());
        fake.each("/feed", move |asked| match asked.query("after") {
            Some(_) => reply.clone(),
            None => head.clone(),
        });
        replace(&fake, 1, &leading(1, "/none"));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let last = rounds(&mut reader).await;
        println!("{name}: {last:?} after {} requests", fake.asked().len());
        assert!(
            last.is_err() || !matches!(last, Ok(Polled::Halted)),
            "{name}"
        );
        assert!(fake.asked().len() < 200, "{name}");
        in_sequence(name, &reader).await;
        fake.forget(&feed.address(1));
        feed.serve(&fake);
        reader.takes(&Numbered::ids(NEWEST)).await;
    }
}

/// As a part of a feed does: another request does not help.
async fn a_feed_that_refuses_cursors_halts_until_a_resume<B: Recording>(url: &str) {
    let feed = Numbered::new(NEWEST);
    let fake = numbered(NEWEST).await;
    let head = Reply::feed(feed.head().xml());
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(_) => Reply::status(400),
        None => head.clone(),
    });
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    assert_eq!(reader.poll().await.unwrap(), Polled::Halted);
    let reason = reader.status().await.halted.unwrap();
    assert!(reason.contains("must point to the whole feed"), "{reason}");
    assert_eq!(reader.ids().await.len(), 0);
    feed.serve(&fake);
    let on = Decision::Resume(ResumeFrom::Kept);
    reader.handle().decide(on, "me").await.unwrap();
    reader.takes(&Numbered::ids(NEWEST)).await;
}

/// Up to ten rounds; returns how the last one ended.
async fn rounds<B: Recording>(reader: &mut Reader<B>) -> Result<Polled, String> {
    let mut last = reader.poll().await;
    for _ in 1..10 {
        if matches!(last, Ok(Polled::UpToDate { .. })) {
            break;
        }
        last = reader.poll().await;
    }
    last
}

/// Fails unless the effects are those of the first events, once each and in sequence.
async fn in_sequence<B: Recording>(name: &str, reader: &Reader<B>) {
    let ids = reader.ids().await;
    let count = ids.len().try_into().unwrap();
    assert_eq!(ids, Numbered::ids(count), "{name}");
}
