//! Text that no database can store is refused, or removed from what is reported: it never causes an
//! error of our own database, which would be retried for ever.

use harness::fake::{Atom, Entry, Fake, Numbered, Reply};
use harness::until;

use crate::support::{Reader, Recording, ids, numbered, serving};

harness::on_both_databases! {
    an_error_is_reported_without_unstorable_text
    a_halt_is_reported_without_unstorable_text
    an_event_is_parked_without_unstorable_text
    an_id_with_unstorable_text_is_refused
    an_id_that_fits_no_index_is_refused
}

/// A problem document whose detail has a character that PostgreSQL refuses, and no end.
fn problem(status: u16) -> Reply {
    let long = "and so on ".repeat(100_000);
    Reply::status(status)
        .header("content-type", "application/problem+json")
        .body(format!("{{\"detail\":\"it began\\u0000{long}\"}}"))
}

fn assert_short(text: &str) {
    assert!(text.contains("it began"), "{text}");
    assert!(
        text.len() < 1_000 && !text.contains('\0'),
        "{} bytes",
        text.len()
    );
}

/// The error is stored with the leases, and these are renewed.
async fn an_error_is_reported_without_unstorable_text<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    fake.at("/feed", problem(500));
    let reader = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    assert_short(&reader.error().await);
    fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
    reader.has(3).await;
}

async fn a_halt_is_reported_without_unstorable_text<B: Recording>(url: &str) {
    let fake = numbered(3).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(3)).await;
    // The head has moved on, and catching up to it is refused.
    let head = Numbered::new(500).head().xml();
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(_) => problem(410),
        None => Reply::feed(head.clone()),
    });
    let reader = reader.run();
    let halted = until("it halts", async || reader.status().await.halted).await;
    assert_short(&halted);
}

async fn an_event_is_parked_without_unstorable_text<B: Recording>(url: &str) {
    let lost = Entry::new(&ids([1])[0], "2026-05-01T00:00:00Z").src("/lost");
    let fake = serving(&Atom::foreign([lost, Entry::foreign(2)])).await;
    fake.at("/lost", problem(404));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    assert_eq!(reader.ids().await, ids([2]));
    let parked = reader.parked().await;
    assert_eq!(parked[0].id, ids([1])[0]);
    assert_short(parked[0].reason.as_deref().unwrap());
}

/// The document is refused, and read as soon as it is corrected.
async fn refused<B: Recording>(url: &str, entry: Entry, why: &str) {
    let fake = serving(&Atom::foreign([Entry::foreign(2), entry])).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let error = reader.fails().await;
    assert!(error.contains(why), "{error}");
    fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
    reader.takes(&ids(1..=3)).await;
}

async fn an_id_with_unstorable_text_is_refused<B: Recording>(url: &str) {
    let entry = Entry::new("tag:a\0b", "2026-05-01T00:00:00Z").text("x");
    refused::<B>(url, entry, "not well-formed").await;
}

async fn an_id_that_fits_no_index_is_refused<B: Recording>(url: &str) {
    // Random text, which a database cannot compress.
    let mut random = fastrand::Rng::with_seed(8);
    let long: String = (0..5_000).map(|_| random.alphanumeric()).collect();
    let entry = Entry::new(&format!("tag:{long}"), "2026-05-01T00:00:00Z").text("x");
    refused::<B>(url, entry, "longer than").await;
}
