//! No date hides a change (I4), also where a reader sends the `Date` of an answer in `If-Modified-Since`, as RFC 9110,
//! 13.1.3, lets it.

use std::time::{Duration, SystemTime};

use feed_core::{Database, outbox};
use harness::until;

use crate::support::{Answer, NOT_MODIFIED, Publisher, Testable, event};

harness::on_both_databases! {
    a_date_never_hides_an_event
    an_event_whose_commit_takes_seconds_is_not_hidden
    an_event_that_another_instance_does_not_know_yet_is_not_hidden
    the_link_to_the_next_page_is_not_hidden
    another_epoch_is_not_hidden
    a_correction_that_commits_while_its_second_is_closed_is_not_hidden
    a_copy_of_the_database_has_no_dates
    a_copy_of_the_database_knows_former_epochs
}

fn date_of(answer: &Answer, name: &str) -> SystemTime {
    httpdate::parse_http_date(&answer.header(name)).unwrap()
}

/// Reads the head until its `Date` is at least `seconds` later than now.
async fn read_later<B: Testable>(publisher: &Publisher<B>, seconds: u64) -> Answer {
    let later = SystemTime::now() + Duration::from_secs(seconds);
    until("that time", async || {
        let answer = publisher.get("/feed", &[]).await;
        (date_of(&answer, "date") >= later).then_some(answer)
    })
    .await
}

/// The newest sequence that a reader gets who sends this date.
async fn newest_since<B: Testable>(publisher: &Publisher<B>, date: &str) -> Option<i64> {
    let since = [("if-modified-since", date)];
    let answer = publisher.get("/feed", &since).await;
    answer.sequences().first().copied()
}

async fn an_event_whose_commit_takes_seconds_is_not_hidden<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    publisher.close_second().await;
    let mut tx = publisher.database.begin().await.unwrap();
    outbox::append(&mut tx, &event("order/1")).await.unwrap();
    let before = read_later(&publisher, 3).await;
    assert_eq!(before.sequences()[0], 3);
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let date = before.header("date");
    assert_eq!(newest_since(&publisher, &date).await, Some(4));
    publisher.close_second().await;
    assert_eq!(newest_since(&publisher, &date).await, Some(4));
    let announced = publisher.get("/feed", &[]).await;
    assert!(date_of(&announced, "last-modified") > date_of(&before, "date"));
}

/// An instance may answer from a head of a second ago.
async fn an_event_that_another_instance_does_not_know_yet_is_not_hidden<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    publisher.publish(1).await;
    let late = SystemTime::now() + Duration::from_secs(1);
    publisher.close_second().await;
    let announced = publisher.get("/feed", &[]).await;
    let date = httpdate::fmt_http_date(late);
    assert!(date_of(&announced, "last-modified") > httpdate::parse_http_date(&date).unwrap());
}

async fn the_link_to_the_next_page_is_not_hidden<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    let path = format!("/feed/{}/2", publisher.feed.cursor().epoch);
    let sealed = publisher.get(&path, &[]).await;
    assert_eq!(sealed.link("next-archive"), None);
    publisher.publish(10).await;
    publisher.close_second().await;
    let since = [(
        "if-modified-since",
        sealed.headers["date"].to_str().unwrap(),
    )];
    let followed = publisher.get(&path, &since).await;
    assert!(followed.link("next-archive").is_some());
    assert!(!followed.headers.contains_key("last-modified"));
}

async fn another_epoch_is_not_hidden<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(5).await;
    publisher.close_second().await;
    let date = publisher.get("/feed", &[]).await.header("last-modified");
    let since = [("if-modified-since", date.as_str())];
    assert_eq!(publisher.get("/feed", &since).await.status, NOT_MODIFIED);
    let epoch = publisher.feed.change_epoch().await.unwrap();
    let restarted = Publisher::<B>::open(url).await;
    let answer = restarted.get("/feed", &since).await;
    assert!(
        answer.cursor().starts_with(epoch.as_str()),
        "{}",
        answer.body
    );
    restarted.close_second().await;
    assert_eq!(newest_since(&restarted, &date).await, Some(5));
}

/// The statement that closes the second waits behind the correction, which has the date of its beginning.
async fn a_correction_that_commits_while_its_second_is_closed_is_not_hidden<B: Testable>(
    url: &str,
) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let running = tokio::spawn({
        let feed = publisher.feed.clone();
        async move { feed.run().await }
    });
    let other = Database::<B>::open(url).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    let corrected = "UPDATE feed_event SET title = 'Corrected' WHERE sequence = 3";
    B::execute(&mut tx, corrected).await.unwrap();
    let before = read_later(&publisher, 3).await;
    assert!(!before.body.contains("Corrected"));
    tx.commit().await.unwrap();
    publisher.close_second().await;
    let date = before.header("date");
    let since = [("if-modified-since", date.as_str())];
    let answer = publisher.get("/feed", &since).await;
    assert!(answer.body.contains("Corrected"), "{answer:?}");
    publisher.shutdown.cancel();
    running.await.unwrap();
}

/// It may be behind by any time, and its answers have dates of now.
async fn a_copy_of_the_database_has_no_dates<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    publisher.close_second().await;
    let copy = Publisher::<B>::copy(url).await;
    let head = copy.get("/feed", &[]).await;
    assert!(!head.headers.contains_key("last-modified"));
    let (date, tag) = (head.header("date"), head.header("etag"));
    let since = [("if-modified-since", date.as_str())];
    assert_eq!(newest_since(&copy, &date).await, Some(3));
    assert_eq!(publisher.get("/feed", &since).await.status, NOT_MODIFIED);
    let known = [("if-none-match", tag.as_str())];
    assert_eq!(copy.get("/feed", &known).await.status, NOT_MODIFIED);
}

/// A cursor that is of no epoch of the feed may be ahead of the copy.
async fn a_copy_of_the_database_knows_former_epochs<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let copy = Publisher::<B>::copy(url).await;
    let mut cursors = Vec::new();
    for _ in 0..2 {
        cursors.push(copy.get("/feed", &[]).await.cursor());
        publisher.feed.change_epoch().await.unwrap();
        copy.feed.publish().await.unwrap();
    }
    for former in cursors {
        let answer = copy.get(&format!("/feed?after={former}"), &[]).await;
        assert_eq!(answer.status, 410, "{answer:?}");
    }
    let ahead = copy.get("/feed?after=elsewher.0.0", &[]).await;
    assert_eq!(ahead.status, 503, "{ahead:?}");
}

/// A reader that sends nothing but `If-Modified-Since`, and events as fast as they come: many of
/// them in the same second.
async fn a_date_never_hides_an_event<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut date = String::new();
    for newest in 1..=30 {
        publisher.publish(1).await;
        let condition = [("if-modified-since", date.as_str())];
        let answer = publisher.get("/feed", &condition).await;
        assert_eq!(answer.status, 200, "event {newest} is hidden");
        assert_eq!(answer.sequences()[0], newest);
        date = answer.header("last-modified");
        if newest % 10 == 0 {
            // Now the date stands for this very state, and says so.
            publisher.close_second().await;
            date = publisher.get("/feed", &[]).await.header("last-modified");
            // A date that cannot be one of ours proves nothing.
            let future = [("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
            assert_eq!(publisher.get("/feed", &future).await.status, 200);
            let condition = [("if-modified-since", date.as_str())];
            assert_eq!(
                publisher.get("/feed", &condition).await.status,
                NOT_MODIFIED
            );
        }
    }
}
