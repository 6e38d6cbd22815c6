//! Decisions of the operator: they are executed when the feed permits, at the server's pace and
//! without a loop, and undo no earlier decision.

use std::time::Duration;

use feed_core::consumer::{Decision, ResumeFrom};
use harness::fake::{Atom, Entry, Fake, Numbered, Reply};
use harness::{tables, until};

use crate::support::{Reader, Recording, ids, numbered};

harness::on_both_databases! {
    a_resume_from_the_start_keeps_parked_and_skipped_events
    a_decision_that_fails_is_repeated_at_the_servers_pace
    a_replay_ends_although_pages_link_in_a_circle
    a_resume_from_now_never_applies_older_entries
    a_replay_keeps_a_parked_entry_that_the_feed_no_longer_shows
}

/// Decides, and polls until that is executed and nothing is new.
async fn execute<B: Recording>(reader: &mut Reader<B>, decision: Decision) {
    reader.handle().decide(decision, "eve").await.unwrap();
    until("the decision is executed", async || {
        reader.poll().await.unwrap();
        let open = reader.status().await.decision;
        open.is_none().then_some(())
    })
    .await;
    reader.drain().await;
}

async fn halt(url: &str) {
    tables::run(url, "UPDATE feed_subscription SET halted = 'for a test'").await;
}

/// The claims of old events are swept; a parked or skipped event must not be applied anew.
async fn a_resume_from_the_start_keeps_parked_and_skipped_events<B: Recording>(url: &str) {
    let fake = numbered(5).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let (second, third) = (Numbered::id(2), Numbered::id(3));
    let mistake = format!(
        "INSERT INTO effect (subscription, event_id) VALUES ('x', '{second}'), ('x', '{third}');
         CREATE UNIQUE INDEX by_mistake ON effect (event_id)"
    );
    tables::run(url, &mistake).await;
    reader.drain().await;
    let handle = reader.handle();
    handle.skip(&third, "a test", "eve").await.unwrap();
    tables::run(url, "DROP INDEX by_mistake; DELETE FROM feed_claim").await;
    halt(url).await;
    execute(&mut reader, Decision::Resume(ResumeFrom::Start)).await;
    let status = reader.status().await;
    assert_eq!((status.sequence, status.parked), (5, 1), "{status:?}");
    let taken = reader.ids().await;
    assert!(
        !taken.contains(&second) && !taken.contains(&third),
        "{taken:?}"
    );
    // The corrected event has its effect, the skipped one has none.
    handle
        .retry_selected(&feed_core::consumer::Selection::default(), "eve")
        .await
        .unwrap();
    until("it is tried again", async || {
        reader.poll().await.unwrap();
        (reader.status().await.parked == 0).then_some(())
    })
    .await;
    let taken = reader.ids().await;
    assert!(
        taken.contains(&second) && !taken.contains(&third),
        "{taken:?}"
    );
}

async fn a_decision_that_fails_is_repeated_at_the_servers_pace<B: Recording>(url: &str) {
    let fake = numbered(5).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(5)).await;
    fake.at("/feed", Reply::status(503).header("retry-after", "2"));
    let handle = reader.handle();
    let seen = reader.run();
    seen.error().await;
    handle.decide(Decision::Replay(3), "eve").await.unwrap();
    fake.news();
    let mut asked = Vec::new();
    until("it was tried some times", async || {
        asked.extend(fake.news());
        (asked.len() >= 5).then_some(())
    })
    .await;
    let pauses = asked.windows(2).map(|pair| pair[1].at - pair[0].at);
    let pauses: Vec<Duration> = pauses.collect();
    // The decision is new twice: where the instance reads it, and when its notification arrives.
    let hasty = pauses.iter().filter(|pause| pause.as_millis() < 1_900);
    assert!(hasty.count() <= 2, "{pauses:?}");
    // And it is executed as soon as that is possible.
    Numbered::new(5).serve(&fake);
    seen.has(8).await;
}

/// The link of the second page leads back to the first.
async fn a_replay_ends_although_pages_link_in_a_circle<B: Recording>(url: &str) {
    let fake = numbered(45).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(45)).await;
    let feed = Numbered::new(45);
    let (first, third) = (feed.address(1), feed.address(3));
    let link = |address: &str| format!("rel=\"next-archive\" href=\"{address}\"");
    let page = feed.page(2).xml();
    assert!(page.contains(&link(&third)), "{page}");
    let page = page.replace(&link(&third), &link(&first));
    fake.at(&feed.address(2), Reply::feed(page));
    execute(&mut reader, Decision::Replay(41)).await;
    let again = (1..=45).chain(41..=45).map(Numbered::id);
    assert_eq!(reader.ids().await, again.collect::<Vec<_>>());
}

/// Also where the partitions differ, and all of a feed without sequences is read.
async fn a_resume_from_now_never_applies_older_entries<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let document =
        |numbers: std::ops::RangeInclusive<u32>| Atom::foreign(numbers.rev().map(Entry::foreign));
    fake.at("/feed/1", Reply::feed(document(1..=10).xml()));
    let head = |newest| document(11..=newest).link("prev-archive", "/feed/1");
    fake.at("/feed", Reply::feed(head(15).xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    halt(url).await;
    execute(&mut reader, Decision::Resume(ResumeFrom::Now)).await;
    assert_eq!(reader.ids().await, Vec::<String>::new());
    let uneven = "UPDATE feed_partition SET anchor = NULL WHERE partition < 8";
    tables::run(url, uneven).await;
    fake.at("/feed", Reply::feed(head(16).xml()));
    let mut reader = reader.again(url, &fake.url("/feed")).await;
    reader.takes(&ids(16..=16)).await;
}

/// A feed without sequences shows its newest entries alone.
async fn a_replay_keeps_a_parked_entry_that_the_feed_no_longer_shows<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let shows = |numbers: std::ops::RangeInclusive<u32>| {
        let document = Atom::foreign(numbers.rev().map(Entry::foreign));
        fake.at("/feed", Reply::feed(document.xml()));
    };
    shows(1..=4);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let second = ids(2..=2).remove(0);
    let mistake = format!(
        "INSERT INTO effect (subscription, event_id) VALUES ('x', '{second}');
         CREATE UNIQUE INDEX by_mistake ON effect (event_id)"
    );
    tables::run(url, &mistake).await;
    reader.drain().await;
    assert_eq!(reader.parked().await.len(), 1);
    shows(4..=6);
    reader.drain().await;
    tables::run(url, "DROP INDEX by_mistake; DELETE FROM effect").await;
    execute(&mut reader, Decision::Replay(1)).await;
    assert_eq!(reader.ids().await, ids(4..=6));
    reader.handle().retry(&second, "eve").await.unwrap();
    until("it is tried again", async || {
        reader.poll().await.unwrap();
        (reader.status().await.parked == 0).then_some(())
    })
    .await;
    assert_eq!(reader.ids().await, [ids(4..=6), vec![second]].concat());
}
