//! A lost cursor halts the subscription, which says why (I8). A stale cache does not.

use std::time::Duration;

use feed_core::consumer::{Decision, Polled, ResumeFrom};
use harness::fake::{Atom, Fake, Numbered, Reply};
use harness::{tables, until};

use crate::support::{INTERVAL, Reader, Recording, assert_says, numbered};

harness::on_both_databases! {
    an_instance_that_lost_its_partitions_does_not_halt_the_others
    a_decision_is_not_overtaken_by_an_older_reason
    a_feed_that_became_shorter_has_no_false_lag
    a_cursor_that_is_gone_halts
    another_epoch_halts
    another_history_of_the_same_epoch_halts
    a_gap_while_catching_up_halts
    a_stale_cache_does_not_halt
    a_feed_restored_to_between_two_cursors_halts
    an_instance_that_has_applied_nothing_follows_the_others_feed
    instances_that_have_followed_two_feeds_halt
}

/// A consumer that has read five events.
async fn at_five<B: Recording>(name: &str, url: &str) -> (Fake, Reader<B>) {
    let fake = numbered(5).await;
    let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(5)).await;
    fake.news();
    (fake, reader)
}

/// Fails unless it halts now, and stays halted; returns why.
async fn halts<B: Recording>(fake: &Fake, reader: &mut Reader<B>) -> String {
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    let status = reader.status().await;
    fake.news();
    // Not even when the feed is as it was before: the operator has to decide.
    Numbered::new(9).serve(fake);
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    assert!(fake.news().is_empty(), "there is nothing to ask");
    assert_eq!(reader.ids().await, Numbered::ids(5));
    assert_eq!(status.sequence, 5);
    status.halted.unwrap()
}

async fn a_cursor_that_is_gone_halts<B: Recording>(url: &str) {
    let (fake, mut reader) = at_five::<B>("order", url).await;
    let feed = Numbered::new(45);
    feed.serve(&fake);
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(_) => Reply::status(410)
            .header("content-type", "application/problem+json")
            .body("{\"detail\":\"the events up to 30 are purged\"}"),
        None => Reply::feed(feed.head().xml()),
    });
    let reason = halts(&fake, &mut reader).await;
    assert_says(&reason, &["the events up to 30 are purged"]);
}

async fn another_epoch_halts<B: Recording>(url: &str) {
    for (name, newest) in [("shorter", 2), ("as long", 5), ("longer", 45)] {
        let (fake, mut reader) = at_five::<B>(name, url).await;
        let other = Numbered {
            epoch: "otherfed".to_owned(),
            newest,
        };
        other.serve(&fake);
        let reason = halts(&fake, &mut reader).await;
        assert_says(&reason, &["epoch", "history", "otherfed"]);
        // Where every request has the same answer.
        let (fake, mut reader) = at_five::<B>(&format!("{name}, alone"), url).await;
        fake.at("/feed", Reply::feed(other.head().xml()));
        let reason = halts(&fake, &mut reader).await;
        assert_says(&reason, &["epoch", "otherfed"]);
    }
}

async fn another_history_of_the_same_epoch_halts<B: Recording>(url: &str) {
    // A backup that diverged: the same sequences, other events.
    let (fake, mut reader) = at_five::<B>("order", url).await;
    let other = Numbered::new(8)
        .head()
        .xml()
        .replace("0192f0c1", "0192f0ff");
    fake.at("/feed", Reply::feed(other));
    let reason = halts(&fake, &mut reader).await;
    assert!(reason.contains('5'), "{reason}");
}

async fn a_gap_while_catching_up_halts<B: Recording>(url: &str) {
    let (fake, mut reader) = at_five::<B>("order", url).await;
    let feed = Numbered::new(45);
    // Its answer continues at 31.
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(_) => Reply::feed(feed.document(31, 45).link("current", "/feed").xml()),
        None => Reply::feed(feed.head().xml()),
    });
    halts(&fake, &mut reader).await;
}

async fn a_stale_cache_does_not_halt<B: Recording>(url: &str) {
    let (fake, mut reader) = at_five::<B>("order", url).await;
    for seen in [0, 1, 3, 4] {
        let (stale, now) = (Numbered::new(seen), Numbered::new(5));
        fake.each("/feed", move |asked| match asked.query("after") {
            Some(_) => Reply::feed(now.document(6, 5).link("current", "/feed").xml()),
            None => Reply::feed(stale.head().xml()).header("etag", stale.tag()),
        });
        for _ in 0..3 {
            let polled = reader.poll().await;
            // With a pause, although the answer came at once.
            assert_eq!(polled, Ok(Polled::UpToDate { waited: false }), "{seen}");
        }
        assert_eq!(reader.status().await.halted, None);
        assert_eq!(reader.ids().await, Numbered::ids(5));
    }
    // And it does not hide what is new.
    let (stale, now) = (Numbered::new(3), Numbered::new(7));
    now.serve(&fake);
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(_) => Reply::feed(now.document(6, 7).link("current", "/feed").xml()),
        None => Reply::feed(stale.head().xml()).header("etag", stale.tag()),
    });
    reader.poll().await.unwrap();
    assert_eq!(reader.ids().await, Numbered::ids(7));
    Numbered::new(8).serve(&fake);
    reader.takes(&Numbered::ids(8)).await;
}

/// Of two instances one was behind when the feed was restored to the position of that one: its
/// cursor is still valid, and that of the other is not.
async fn a_feed_restored_to_between_two_cursors_halts<B: Recording>(url: &str) {
    let fake = numbered(9).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(9)).await;
    let behind = format!(
        "UPDATE feed_partition SET sequence = 5, anchor = '{}' WHERE partition < 8",
        Numbered::id(5)
    );
    tables::run(url, &behind).await;
    let feed = Numbered::new(12);
    let gone = Numbered::new(9).cursor(9);
    let other = |document: Atom| {
        let renamed = |xml: String, n| {
            let (id, simple) = (Numbered::id(n), Numbered::new(n).cursor(n));
            xml.replace(&id, &id.replace("0192f0c1", "0192f0ff"))
                .replace(&simple, &simple.replace("0192f0c1", "0192f0ff"))
        };
        (6..=12).fold(document.xml(), renamed)
    };
    let (after, head) = (other(feed.document(6, 12)), other(feed.head()));
    fake.each("/feed", move |asked| match asked.query("after") {
        Some(cursor) if cursor == gone => Reply::status(410)
            .header("content-type", "application/problem+json")
            .body("{\"detail\":\"this cursor is of another history\"}"),
        Some(_) => Reply::feed(after.clone()),
        None => Reply::feed(head.clone()),
    });
    let mut reader = reader.again(url, &fake.url("/feed")).await;
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    assert_eq!(reader.ids().await, Numbered::ids(9));
    let reason = reader.status().await.halted.unwrap();
    assert_says(&reason, &["of another history"]);
}

/// An instance whose `FEED_URL` differs from that of the others.
async fn an_instance_that_has_applied_nothing_follows_the_others_feed<B: Recording>(url: &str) {
    let fake = numbered(0).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    // What another instance applies meanwhile, of another feed.
    let other = "UPDATE feed_partition SET epoch = 'otherfed', lease_owner = 'other'
                 WHERE partition < 8";
    tables::run(url, other).await;
    // It does not know that yet: nothing that it applies is committed.
    Numbered::new(9).serve(&fake);
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    assert_eq!(reader.ids().await, Vec::<String>::new());
    let reason = reader.status().await.halted.unwrap();
    assert_says(&reason, &["two feeds"]);
}

/// Two instances have begun at the same moment.
async fn instances_that_have_followed_two_feeds_halt<B: Recording>(url: &str) {
    let fake = numbered(9).await;
    let reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let two = "UPDATE feed_partition SET epoch = CASE WHEN partition < 8 THEN 'otherfed'
                                                 ELSE 'fakefeed' END";
    tables::run(url, two).await;
    let mut reader = reader.again(url, &fake.url("/feed")).await;
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    let reason = reader.status().await.halted.unwrap();
    assert_says(&reason, &["two feeds"]);
}

/// The feed does not know the cursor; the answer says so later.
fn gone(fake: &Fake) {
    Numbered::new(4).serve(fake);
    fake.each("/feed", |asked| match asked.query("after") {
        Some(_) => Reply::status(410).after(Duration::from_secs(1)),
        None => Numbered::new(4).answer(asked),
    });
}

/// Waits until the feed was asked about the cursor.
async fn asked_after(fake: &Fake) {
    until("it is asked", async || {
        let asked = fake.asked();
        asked
            .iter()
            .any(|asked| asked.query("after").is_some())
            .then_some(())
    })
    .await;
}

/// As after it was frozen for longer than its leases.
async fn an_instance_that_lost_its_partitions_does_not_halt_the_others<B: Recording>(url: &str) {
    let fake = numbered(8).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(8)).await;
    gone(&fake);
    fake.news();
    let taken_over = async {
        asked_after(&fake).await;
        let other =
            "UPDATE feed_partition SET lease_owner = 'another', lease_epoch = lease_epoch + 1";
        tables::run(url, other).await;
    };
    let (polled, ()) = tokio::join!(reader.poll(), taken_over);
    assert_eq!(polled, Ok(Polled::LeasedElsewhere));
    assert_eq!(reader.status().await.halted, None);
}

async fn a_decision_is_not_overtaken_by_an_older_reason<B: Recording>(url: &str) {
    let fake = numbered(8).await;
    let feed = fake.url("/feed");
    let mut one = Reader::<B>::open(url, &feed).await;
    one.takes(&Numbered::ids(8)).await;
    let mut two = Reader::<B>::with("order", "two", INTERVAL, url, &feed).await;
    gone(&fake);
    fake.news();
    let resumed = async {
        asked_after(&fake).await;
        tables::run(
            url,
            "UPDATE feed_subscription SET halted = 'the cursor is unknown'",
        )
        .await;
        let kept = Decision::Resume(ResumeFrom::Kept);
        two.handle().decide(kept, "eve").await.unwrap();
        until("it is resumed", async || {
            two.poll().await.unwrap();
            two.status().await.halted.is_none().then_some(())
        })
        .await;
        Numbered::new(8).serve(&fake);
    };
    let (polled, ()) = tokio::join!(one.poll(), resumed);
    assert_ne!(polled, Ok(Polled::Halted));
    assert_eq!(one.status().await.halted, None);
}

/// One instance executes the decision; the other one has seen the feed when it was longer.
async fn a_feed_that_became_shorter_has_no_false_lag<B: Recording>(url: &str) {
    let fake = numbered(8).await;
    let feed = fake.url("/feed");
    let mut one = Reader::<B>::open(url, &feed).await;
    one.takes(&Numbered::ids(8)).await;
    let mut two = Reader::<B>::with("order", "two", INTERVAL, url, &feed).await;
    Numbered::new(4).serve(&fake);
    assert_eq!(one.poll().await, Ok(Polled::Halted));
    let now = Decision::Resume(ResumeFrom::Now);
    two.handle().decide(now, "eve").await.unwrap();
    until("it is resumed", async || {
        two.poll().await.unwrap();
        two.status().await.halted.is_none().then_some(())
    })
    .await;
    // Once the first instance has renewed its leases.
    until("there is no lag", async || {
        one.poll().await.unwrap();
        two.poll().await.unwrap();
        let lags = [one.status().await.lag.events, two.status().await.lag.events];
        (lags == [0, 0]).then_some(())
    })
    .await;
}
