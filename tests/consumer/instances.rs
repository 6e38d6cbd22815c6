//! Several instances at a feed without sequences: only the claims record what is done.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::fake::{Atom, Fake, Reply};
use harness::until;

use crate::support::{Reader, Recording, ids};

harness::on_both_databases! {
    two_instances_apply_each_entry_once
}

/// A feed in three pages, whose head has a tag.
fn serve(fake: &Fake, newest: u32) {
    let tag = format!("\"{newest}\"");
    let page = newest / 3;
    let head = Atom::of(2 * page + 1..=newest).link("next", "/2").xml();
    fake.each("/feed", move |asked| {
        match asked.header("if-none-match") == Some(&tag) {
            true => Reply::status(304).header("etag", &tag),
            false => Reply::feed(head.clone()).header("etag", &tag),
        }
    });
    let second = Atom::of(page + 1..=2 * page).link("next", "/3");
    fake.at("/2", Reply::feed(second.xml()));
    fake.at("/3", Reply::feed(Atom::of(1..=page).xml()));
}

async fn two_instances_apply_each_entry_once<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    serve(&fake, 60);
    let feed = fake.url("/feed");
    let interval = Duration::from_millis(10);
    let one = Reader::<B>::with("order", "one", interval, url, &feed).await;
    let two = Reader::<B>::with("order", "two", interval, url, &feed).await;
    let seen = one.run();
    two.run();
    seen.has(60).await;
    until("both have partitions", async || {
        let owners = "SELECT count(DISTINCT lease_owner) FROM feed_partition";
        (seen.number(owners).await == 2).then_some(())
    })
    .await;
    // An instance that takes over a partition knows only the claims of what was done there.
    let mut newest = 60;
    let both = until("both have applied something", async || {
        newest += 30;
        serve(&fake, newest);
        seen.has(newest as usize).await;
        let by: BTreeSet<_> = seen.instances().await.into_iter().collect();
        (by.len() == 2).then_some(by)
    });
    assert_eq!(both.await.len(), 2);
    let mut found = seen.ids().await;
    found.sort_unstable();
    let mut expected = ids(1..=newest);
    expected.sort_unstable();
    assert_eq!(found, expected, "each once");
    assert_eq!(seen.status().await.parked, 0);
}
