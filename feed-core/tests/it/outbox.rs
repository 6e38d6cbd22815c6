//! The write side: an event is published if and only if its transaction commits, and the numbers
//! are dense and in commit order (I1, I2).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use feed_core::{Database, NewEvent, outbox};
use harness::FreshDatabase;
use sqlx::Postgres;
use tokio::task::JoinSet;

use crate::support::{Publisher, Testable, event, until};

harness::on_both_databases! {
    an_event_of_a_rolled_back_transaction_is_never_published
    writers_that_commit_and_roll_back_leave_no_hole
    rival_sequencers_never_renumber
    updated_never_goes_back
    data_that_is_not_json_is_refused
    an_event_that_nobody_could_take_is_refused
    names_of_any_permitted_length_have_a_title
    an_event_is_published_although_nobody_says_so
    before_there_is_a_feed_no_event_is_lost
    an_event_that_the_database_refuses_takes_no_number
    an_event_of_a_request_that_outlasts_the_feed_is_published
}

async fn an_event_of_a_rolled_back_transaction_is_never_published<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut tx = publisher.database.begin().await.unwrap();
    outbox::append(&mut tx, &event("order/1")).await.unwrap();
    tx.rollback().await.unwrap();
    publisher.publish(2).await;
    assert_eq!(publisher.get("/feed", &[]).await.sequences(), [2, 1]);
    let stored = B::numbers(&publisher.database, "SELECT count(*) FROM feed_event").await;
    assert_eq!(stored, [2]);
}

async fn writers_that_commit_and_roll_back_leave_no_hole<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (database, feed) = (publisher.database.clone(), publisher.feed.clone());
        writers.spawn(async move {
            let mut committed = 0;
            for n in 0..25 {
                let mut tx = database.begin().await.unwrap();
                outbox::append(&mut tx, &event(&format!("order/{writer}")))
                    .await
                    .unwrap();
                if (n + writer) % 3 == 0 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                    committed += 1;
                    feed.publish().await.unwrap();
                }
            }
            committed
        });
    }
    let committed: i64 = writers.join_all().await.into_iter().sum();
    let numbers = "SELECT sequence FROM feed_event ORDER BY sequence";
    let numbers = B::numbers(&publisher.database, numbers).await;
    assert_eq!(numbers, (1..=committed).collect::<Vec<_>>());
    assert_eq!(publisher.feed.cursor().sequence, committed);
}

/// Who has seen a number has seen it for good: the one-statement sequencer fails here.
async fn rival_sequencers_never_renumber<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let publisher = Publisher::<B>::open(url).await;
        writers.spawn(async move {
            for _ in 0..60 {
                publisher.commit(&format!("order/{writer}")).await;
                publisher.feed.publish().await.unwrap();
            }
        });
    }
    let mut seen = BTreeMap::new();
    let look = |database: Database<B>| async move {
        let both = "SELECT sequence || ' ' || id FROM feed_event \
                    WHERE sequence IS NOT NULL ORDER BY sequence";
        B::texts(&database, both).await
    };
    while !writers.is_empty() {
        let rows = look(publisher.database.clone()).await;
        for (index, row) in rows.iter().enumerate() {
            let (sequence, id) = row.split_once(' ').unwrap();
            assert_eq!(sequence, (index + 1).to_string(), "a hole");
            let before = seen.insert(sequence.to_owned(), id.to_owned());
            assert!(
                before.is_none_or(|before| before == id),
                "{sequence} was renumbered"
            );
        }
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(look(publisher.database.clone()).await.len(), 240);
}

/// Neither by the library nor by an `INSERT` of another program, nor into a second that is closed.
async fn updated_never_goes_back<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    let old = "UPDATE feed_head SET updated = '2020-01-01T00:00:00.000Z'";
    B::run(&publisher.database, old).await;
    let now = Utc::now() - Duration::from_secs(60);
    let now = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    is_not_before(&publisher, &format!("'{now}'")).await;

    // As if the clock had been an hour ahead so far.
    let ahead = format!(
        "UPDATE feed_head SET updated = {}, closed_until = '2020-01-01T00:00:00.000Z'",
        B::IN_AN_HOUR
    );
    B::run(&publisher.database, &ahead).await;
    is_not_before(&publisher, "updated").await;

    // The date that is announced is never later than now (RFC 9110, 8.8.2.1).
    let answer = publisher.get("/feed", &[]).await;
    let modified = answer.headers.get("last-modified");
    assert_eq!(modified, None, "no second is closed yet");

    // As if a second of that hour had been closed, and nothing had happened since.
    let closed = format!(
        "UPDATE feed_head SET updated = '2020-01-01T00:00:00.000Z', closed_until = {}",
        B::IN_AN_HOUR
    );
    B::run(&publisher.database, &closed).await;
    is_not_before(&publisher, "closed_until").await;
}

/// Events of the library and of another program have no earlier date than this one of the head before.
async fn is_not_before<B: Testable>(publisher: &Publisher<B>, date: &str) {
    let column = format!("SELECT CAST({date} AS TEXT) FROM feed_head");
    for by_sql in [false, true] {
        let before = B::texts(&publisher.database, &column).await.remove(0);
        if by_sql {
            let sql = "INSERT INTO feed_outbox (event_type, subject, data)
                       VALUES ('order.placed', 'order/1', '{}')";
            B::run(&publisher.database, sql).await;
        } else {
            publisher.commit("order/1").await;
        }
        publisher.feed.publish().await.unwrap();
        let earlier = format!(
            "SELECT count(*) FROM feed_head JOIN feed_event ON feed_event.sequence = feed_head.sequence
             WHERE feed_event.updated < '{before}' OR feed_head.updated < '{before}'"
        );
        let earlier = B::numbers(&publisher.database, &earlier).await;
        assert_eq!(earlier, [0], "before {date} {before}, by SQL: {by_sql}");
    }
}

/// Published, it would spoil the batch that it is part of for every reader.
async fn data_that_is_not_json_is_refused<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut tx = publisher.database.begin().await.unwrap();
    let mut wrong = event("order/1");
    wrong.data = "{\"id\":".to_owned();
    let refused = outbox::append(&mut tx, &wrong).await;
    assert!(
        matches!(refused, Err(sqlx::Error::Encode(_))),
        "{refused:?}"
    );
    tx.rollback().await.unwrap();
    publisher.publish(1).await;
    assert_eq!(publisher.get("/feed", &[]).await.sequences(), [1]);
}

/// One that fits no index would never be numbered, and hold all that come after it; one with a date that
/// no reader knows would spoil its page.
async fn an_event_that_nobody_could_take_is_refused<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    // Nothing that a database could compress.
    let mut random = fastrand::Rng::with_seed(8);
    let long: String = (0..5_000).map(|_| random.alphanumeric()).collect();
    let good = event("order/1");
    for wrong in [
        NewEvent {
            subject: long.clone(),
            ..good.clone()
        },
        NewEvent {
            event_type: long,
            ..good.clone()
        },
        NewEvent {
            subject: " order/1".to_owned(),
            ..good.clone()
        },
        NewEvent {
            subject: String::new(),
            ..good.clone()
        },
        NewEvent {
            time: "+12026-01-01T00:00:00Z".parse().unwrap(),
            ..good.clone()
        },
    ] {
        let mut tx = publisher.database.begin().await.unwrap();
        let refused = outbox::append(&mut tx, &wrong).await;
        tx.commit().await.unwrap();
        publisher.publish(1).await;
        assert!(
            matches!(refused, Err(sqlx::Error::Encode(_))),
            "{refused:?}"
        );
    }
    assert_eq!(
        publisher.get("/feed", &[]).await.sequences(),
        [5, 4, 3, 2, 1]
    );
}

/// One to four bytes a character, so that the title ends within one.
async fn names_of_any_permitted_length_have_a_title<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for (character, bytes) in [("x", 1_500), ("é", 2_000), ("€", 1_998), ("😀", 2_000)] {
        let name = character.repeat(bytes / character.len());
        let event = NewEvent::new(name.clone(), name.clone(), "{}");
        assert_eq!(event.title.chars().count(), 500, "{character}");
        let mut tx = publisher.database.begin().await.unwrap();
        outbox::append(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
    }
    publisher.feed.publish().await.unwrap();
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences(), [4, 3, 2, 1]);
    assert!(
        head.body
            .contains(&format!("<title>{}</title>", "😀".repeat(500)))
    );
    assert_eq!(NewEvent::new("a", "b", "{}").title, "a: b");
}

async fn an_event_is_published_although_nobody_says_so<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let feed = publisher.feed.clone();
    let running = tokio::spawn(async move { feed.run().await });
    publisher.commit("order/1").await;
    until("the event is in the feed", async || {
        publisher.get("/feed", &[]).await.sequences() == [1]
    })
    .await;
    publisher.shutdown.cancel();
    running.await.unwrap();
}

/// Only PostgreSQL has several writers at once: there a transaction that is open delays its own
/// event and no other, and nothing is skipped when it commits.
mod open_transactions {
    use super::*;
    use sqlx::Postgres;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_open_transaction_delays_its_own_event_only() {
        let database = harness::FreshDatabase::postgres().await;
        let publisher = Publisher::<Postgres>::open(database.url()).await;
        let slow = event("order/slow");
        let mut open = publisher.database.begin().await.unwrap();
        let slow = outbox::append(&mut open, &slow).await.unwrap();
        publisher.publish(3).await;
        let before = publisher.get("/feed", &[]).await;
        assert_eq!(before.sequences(), [3, 2, 1]);

        open.commit().await.unwrap();
        publisher.feed.publish().await.unwrap();
        let after = format!("/feed?after={}", before.cursor());
        let after = publisher.get(&after, &[]).await;
        assert_eq!(after.sequences(), [4]);
        assert!(after.body.contains(&slow.urn()));
    }
}

/// SQLite refuses it, since it has no number to give; on PostgreSQL it waits.
async fn before_there_is_a_feed_no_event_is_lost<B: Testable>(url: &str) {
    let database = Database::<B>::open(url).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let appended = outbox::append(&mut tx, &event("order/1")).await;
    match (appended, B::DIALECT) {
        (Ok(_), 0) => tx.commit().await.unwrap(),
        (Err(error), 1) => {
            assert!(
                error.to_string().contains("there is no feed here yet"),
                "{error}"
            );
            tx.rollback().await.unwrap();
        }
        (other, _) => panic!("{other:?}"),
    }
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    let expected = [vec![2, 1], vec![1]][B::DIALECT].clone();
    assert_eq!(publisher.get("/feed", &[]).await.sequences(), expected);
}

/// PostgreSQL ends the transaction with the error; SQLite leaves that to the caller, who may commit the rest.
async fn an_event_that_the_database_refuses_takes_no_number<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let refusing = [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF NEW.subject = 'order/2' THEN RAISE 'refused'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refusing BEFORE INSERT ON feed_outbox FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE TRIGGER refusing BEFORE INSERT ON feed_event WHEN NEW.subject = 'order/2'
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    ];
    B::run(&publisher.database, refusing[B::DIALECT]).await;
    let mut tx = publisher.database.begin().await.unwrap();
    let refused = outbox::append(&mut tx, &event("order/2"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    tx.commit().await.ok();
    publisher.publish(2).await;
    assert_eq!(publisher.get("/feed", &[]).await.sequences(), [2, 1]);
}

/// A service that stops finishes requests in flight, after its feed has numbered what there was.
async fn an_event_of_a_request_that_outlasts_the_feed_is_published<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.shutdown.cancel();
    publisher.feed.clone().run().await;
    publisher.commit_unnumbered(&event("order/1")).await;
    publisher.feed.clone().finish().await;
    let numbered = "SELECT sequence FROM feed_log";
    assert_eq!(B::numbers(&publisher.database, numbered).await, [1]);
}

/// As the time limit does, or the space for temporary files, where many large events wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_numbered_at_once_is_numbered_in_parts() {
    let fresh = FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(fresh.url()).await;
    fresh
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF (SELECT count(*) FROM added) > 5 THEN
                     RAISE configuration_limit_exceeded;
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER refuse AFTER INSERT ON feed_event REFERENCING NEW TABLE AS added
             FOR EACH STATEMENT EXECUTE FUNCTION refuse();
             INSERT INTO feed_outbox (event_type, subject, data)
             SELECT 'order.placed', 'order/' || n, '{}' FROM generate_series(1, 30) n",
        )
        .await;
    let running = tokio::spawn(publisher.feed.clone().run());
    until("all are published", async || {
        publisher.feed.cursor().sequence == 30
    })
    .await;
    publisher.shutdown.cancel();
    running.await.unwrap();
}
