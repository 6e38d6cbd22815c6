//! Documents without an end are abandoned, with an error that says so.

use std::time::{Duration, Instant};

use harness::fake::{Atom, Fake, Reply};

use crate::support::{Reader, Recording, assert_says, ids};

harness::on_both_databases! {
    an_endless_chain_of_pages_is_abandoned
    a_chain_of_large_pages_is_abandoned
    a_long_chain_within_the_bounds_is_read
}

/// Documents of one walk.
const DOCUMENTS: usize = 1_000;

/// A feed whose documents lead to older ones for ever.
async fn endless(rel: &'static str, padding: usize) -> Fake {
    let fake = Fake::start().await;
    let filling = " ".repeat(padding);
    let page = move |number: u32| {
        // Dates go down as the numbers of the pages go up.
        let feed = Atom::of(50_000 - number..=50_000 - number);
        let feed = feed.link(rel, &format!("/page/{}", number + 1));
        Reply::feed(feed.with(&filling).xml())
    };
    fake.at("/feed", page(0));
    fake.each("/page/*", move |asked| {
        page(asked.target["/page/".len()..].parse().unwrap_or_default())
    });
    fake
}

async fn left<B: Recording>(url: &str, fake: &Fake, documents: std::ops::RangeInclusive<usize>) {
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let begin = Instant::now();
    let error = reader.fails().await;
    assert!(begin.elapsed() < Duration::from_secs(60));
    let bounds = ["1000", "1,000", "mib", "bytes", "documents", "pages"];
    assert_says(&error, &bounds);
    let asked = fake.asked().len();
    assert!(documents.contains(&asked), "{asked} documents");
    assert_eq!(reader.ids().await, ids([]), "nothing is applied");
    // Corrected, it is read, by the same consumer.
    fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
    reader.takes(&ids(1..=3)).await;
}

async fn an_endless_chain_of_pages_is_abandoned<B: Recording>(url: &str) {
    let fake = endless("prev-archive", 0).await;
    left::<B>(url, &fake, DOCUMENTS - 1..=DOCUMENTS + 1).await;
}

/// 64 MiB in documents of 4 MiB.
async fn a_chain_of_large_pages_is_abandoned<B: Recording>(url: &str) {
    let fake = endless("next", 4 * 1024 * 1024).await;
    left::<B>(url, &fake, 15..=17).await;
}

async fn a_long_chain_within_the_bounds_is_read<B: Recording>(url: &str) {
    let fake = endless("next", 0).await;
    let last = Atom::of(1..=1);
    fake.at("/page/150", Reply::feed(last.xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let all = std::iter::once(1).chain(50_000 - 149..=50_000);
    reader.takes(&ids(all)).await;
}
