//! Old events are moved out of the way and final pages become files, and no reader can tell. A feed that
//! was restored to an older state becomes another one, loudly.

use std::collections::BTreeMap;
use std::path::Path;

use feed_core::consumer::{Decision, ResumeFrom};
use feed_core::feed::ExportError;
use feed_core::{NewEvent, outbox};
use sqlx::{Executor, Postgres, Sqlite};

use crate::support::{
    Answer, BASE, Publisher, Recorder, Testable, consumer, consumer_database, effects, event,
    serve, until, until_waiting, urns,
};

harness::on_both_databases! {
    readers_do_not_notice_the_archive
    only_final_pages_are_moved
    archived_events_are_erased
    pages_become_files
    another_epoch_is_reported_and_has_no_second_effect
}

const PERSON: &str = "Skłodowska";

/// How many events are in the log and in the archive.
async fn places<B: Testable>(publisher: &Publisher<B>) -> (i64, i64) {
    let sql = "SELECT count(*) FROM feed_event UNION ALL SELECT count(*) FROM feed_archive";
    let counts = B::numbers(&publisher.database, sql).await;
    (counts[0], counts[1])
}

/// Whatever can be read of the feed, by its address, from an instance that has nothing in memory.
async fn all_that_can_be_read<B: Testable>(url: &str, ids: &[String]) -> BTreeMap<String, Answer> {
    let publisher = Publisher::<B>::open(url).await;
    let head = publisher.get("/feed", &[]).await;
    let mut paths = vec!["/feed".to_owned()];
    let mut back = head.link("prev-archive");
    while let Some(path) = back {
        back = publisher.get(&path, &[]).await.link("prev-archive");
        paths.push(path);
    }
    for view in [
        "?type=order.placed",
        "?subject=order%2F3",
        "?type=x&subject=y",
    ] {
        let mut next = Some(format!("/feed{view}"));
        while let Some(path) = next {
            next = publisher.get(&path, &[]).await.link("next");
            paths.push(path);
        }
    }
    let newest = head.link("related").unwrap();
    let (folder, _) = newest.rsplit_once('/').unwrap();
    paths.extend(["1-10", "31-40", "41-50"].map(|range| format!("{folder}/{range}")));
    paths.extend(ids.iter().map(|id| format!("/events/{id}")));
    let mut read = BTreeMap::new();
    for path in paths {
        let answer = publisher.get(&path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        read.insert(path, answer);
    }
    read
}

async fn readers_do_not_notice_the_archive<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids: Vec<String> = publisher
        .publish(57)
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    let before = all_that_can_be_read::<B>(url, &ids).await;
    assert_eq!(publisher.feed.archive(0).await.unwrap(), 40);
    assert_eq!(places(&publisher).await, (17, 40));
    let after = all_that_can_be_read::<B>(url, &ids).await;
    assert!(before.keys().eq(after.keys()));
    for (path, answer) in &before {
        assert_eq!(answer.body, after[path].body, "{path}");
        for header in ["etag", "last-modified", "cache-control", "link"] {
            assert_eq!(answer.header(header), after[path].header(header), "{path}");
        }
    }
    // What a page of the service shows of one subject, too.
    let history = publisher.feed.history("order/3", 100).await.unwrap();
    let sequences: Vec<i64> = history.iter().map(|happened| happened.sequence).collect();
    assert_eq!(sequences, [54, 44, 34, 24, 14, 4]);
}

async fn only_final_pages_are_moved<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(29).await;
    // Page 2 is open, so page 1 is sealed, and not final.
    assert_eq!(
        publisher.feed.archive(20).await.unwrap(),
        0,
        "19 are kept with page 1"
    );
    assert_eq!(publisher.feed.archive(19).await.unwrap(), 10);
    assert_eq!(
        publisher.feed.archive(0).await.unwrap(),
        0,
        "page 2 is not final"
    );
    publisher.publish(1).await;
    assert_eq!(publisher.feed.archive(0).await.unwrap(), 10);
    assert_eq!(places(&publisher).await, (10, 20));
    assert_eq!(publisher.feed.archive(u64::MAX).await.unwrap(), 0);
    // Numbering continues where it was.
    publisher.publish(1).await;
    assert_eq!(publisher.feed.cursor().sequence, 31);
}

fn of(subject: &str) -> NewEvent {
    NewEvent {
        data: format!("{{\"id\":7,\"name\":\"{PERSON}\"}}"),
        ..event(subject)
    }
}

async fn append<B: Testable>(publisher: &Publisher<B>, event: &NewEvent) {
    let mut tx = publisher.database.begin().await.unwrap();
    outbox::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
}

async fn erase<B: Testable>(publisher: &Publisher<B>, subject: &str) -> u64 {
    let mut tx = publisher.database.begin().await.unwrap();
    let erased = NewEvent::new("order.erased", subject, "{}");
    let rewritten = outbox::rewrite(&mut tx, &erased, |_, _| Ok("{}".to_owned())).await;
    tx.commit().await.unwrap();
    rewritten.unwrap()
}

/// Events in which the person is named, wherever they are.
async fn naming<B: Testable>(publisher: &Publisher<B>) -> i64 {
    let sql = format!("SELECT count(*) FROM feed_log WHERE data LIKE '%{PERSON}%'");
    B::numbers(&publisher.database, &sql).await[0]
}

async fn archived_events_are_erased<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for n in 0..35 {
        append(&publisher, &of(&format!("order/{}", n % 2))).await;
    }
    publisher.feed.publish().await.unwrap();
    assert_eq!(publisher.feed.archive(0).await.unwrap(), 20);
    assert_eq!(erase(&publisher, "order/0").await, 18);
    assert_eq!(naming(&publisher).await, 17);
    assert_eq!(erase(&publisher, "order/1").await, 17);
    assert_eq!(naming(&publisher).await, 0);
}

/// On PostgreSQL both may be under way at once: an event that is just being moved is still erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_being_moved_is_erased() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    for _ in 0..20 {
        append(&publisher, &of("order/1")).await;
    }
    publisher.feed.publish().await.unwrap();
    // The archive waits where it has taken events out, and has not put them in yet.
    let mut obstacle = publisher.database.begin().await.unwrap();
    let row = "INSERT INTO feed_archive SELECT * FROM feed_log WHERE sequence = 10";
    obstacle.execute(row).await.unwrap();
    let moving = tokio::spawn({
        let feed = publisher.feed.clone();
        async move { feed.archive(0).await.unwrap() }
    });
    until_waiting(&publisher.database, 1).await;
    let erasing = tokio::spawn({
        let other = Publisher::<Postgres>::open(database.url()).await;
        async move { erase(&other, "order/1").await }
    });
    until_waiting(&publisher.database, 2).await;
    obstacle.rollback().await.unwrap();
    assert_eq!(moving.await.unwrap(), 10);
    assert_eq!(erasing.await.unwrap(), 20);
    assert_eq!(naming(&publisher).await, 0);
}

fn file(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap()
}

async fn pages_become_files<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(34).await;
    publisher.feed.archive(20).await.unwrap();
    let target = tempfile::tempdir().unwrap();
    let exported = publisher.feed.export_pages(target.path()).await.unwrap();
    assert_eq!((exported.written, exported.kept), (2, 0));
    let epoch = publisher.feed.cursor().epoch;
    assert_eq!(
        exported.directory,
        target.path().join(format!("feed/{epoch}"))
    );
    for page in 1..=2 {
        let path = format!("feed/{epoch}/{page}");
        let served = publisher.get(&format!("/{path}"), &[]).await;
        assert!(
            served.header("cache-control").contains("immutable"),
            "{path}"
        );
        assert_eq!(file(target.path(), &path), served.body);
    }
    // Nothing but pages that are final.
    assert_eq!(std::fs::read_dir(&exported.directory).unwrap().count(), 2);

    publisher.publish(10).await;
    let again = publisher.feed.export_pages(target.path()).await.unwrap();
    assert_eq!((again.written, again.kept), (1, 2));

    let elsewhere = Publisher::<B>::at(url, "https://elsewhere.example/").await;
    let refused = elsewhere.feed.export_pages(target.path()).await;
    assert!(
        matches!(refused, Err(ExportError::Another { .. })),
        "{refused:?}"
    );
    assert!(file(&exported.directory, "1").contains(BASE));
    // One that is not whole, or gone with the rest of another address, is not passed over either.
    let first = exported.directory.join("1");
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, &whole[..whole.len() / 2]).unwrap();
    let damaged = publisher.feed.export_pages(target.path()).await;
    assert!(
        matches!(damaged, Err(ExportError::Another { .. })),
        "{damaged:?}"
    );
    std::fs::remove_file(&first).unwrap();
    let mixed = elsewhere.feed.export_pages(target.path()).await;
    assert!(
        matches!(mixed, Err(ExportError::Another { .. })),
        "{mixed:?}"
    );
    std::fs::remove_file(&first).unwrap();
    // A link of another user leads nowhere.
    let other = target.path().join("other");
    let unfinished = first.with_extension(format!("{}.unfinished", std::process::id()));
    std::fs::write(&other, "other").unwrap();
    std::os::unix::fs::symlink(&other, unfinished).unwrap();
    publisher.feed.export_pages(target.path()).await.unwrap();
    assert_eq!(std::fs::read(&first).unwrap(), whole);
    assert_eq!(file(target.path(), "other"), "other");
    let nowhere = publisher
        .feed
        .export_pages(&exported.directory.join("1"))
        .await;
    assert!(matches!(nowhere, Err(ExportError::File(..))), "{nowhere:?}");
}

async fn another_epoch_is_reported_and_has_no_second_effect<B: Testable>(url: &str) {
    let source = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let ids = publisher.publish(25).await;
    let database = consumer_database::<B>(url).await;
    let consumer = consumer(&database, &feed, Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    until("all are applied", async || {
        handle.status().await.unwrap().sequence == 25
    })
    .await;

    let before = publisher.feed.cursor().epoch;
    let epoch = publisher.feed.change_epoch().await.unwrap();
    assert_ne!(epoch, before);
    assert_eq!(publisher.feed.cursor().sequence, 25);
    let old = publisher.get(&format!("/feed/{before}/1"), &[]).await;
    assert_eq!(old.status, 404);
    assert_eq!(
        publisher.get(&format!("/feed/{epoch}/1"), &[]).await.status,
        200
    );
    until("it halts", async || {
        handle.status().await.unwrap().halted.is_some()
    })
    .await;

    let new = publisher.publish(3).await;
    handle
        .decide(Decision::Resume(ResumeFrom::Start), "eve")
        .await
        .unwrap();
    until("all are applied", async || {
        handle.status().await.unwrap().sequence == 28
    })
    .await;
    assert_eq!(effects(&database).await, urns(&[ids, new].concat()));
    shutdown.cancel();
    running.await.unwrap();
}
