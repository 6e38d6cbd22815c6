//! Random histories: whatever commits, rolls back and is read in whatever order, numbers are
//! dense and stay (I2, I3), and no 304 hides an event (I4). And one history that is written down.

use std::collections::BTreeMap;

use feed_core::outbox;
use sqlx::Transaction;

use crate::support::{NOT_MODIFIED, Publisher, Testable, event};

harness::on_both_databases! {
    random_histories_keep_their_promises
    the_bytes_of_a_page_are_as_they_were
    what_was_read_before_the_database_went_back_counts_no_more
}

const SEEDS: u64 = 12;
const STEPS: usize = 120;

/// What one reader knows.
#[derive(Default)]
struct Reader {
    tag: String,
    date: String,
    /// The newest sequence seen by each way.
    by_tag: i64,
    by_date: i64,
}

async fn random_histories_keep_their_promises<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let other = Publisher::<B>::open(url).await;
    // SQLite has one writer at a time.
    let writers = if std::any::type_name::<B>().contains("Postgres") {
        5
    } else {
        1
    };
    let mut published: BTreeMap<i64, String> = BTreeMap::new();
    let mut committed = 0;
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut open: Vec<Transaction<'_, B>> = Vec::new();
        let mut reader = Reader::default();
        for step in 0..STEPS {
            let what = format!("seed {seed}, step {step}");
            let instance = if random.bool() { &publisher } else { &other };
            match random.u8(0..10) {
                0..4 if open.len() < writers => {
                    let mut tx = instance.database.begin().await.unwrap();
                    let subject = format!("order/{}", random.u8(0..5));
                    outbox::append(&mut tx, &event(&subject)).await.unwrap();
                    open.push(tx);
                }
                4..6 if !open.is_empty() => {
                    open.swap_remove(random.usize(..open.len()))
                        .commit()
                        .await
                        .unwrap();
                    committed += 1;
                }
                6 if !open.is_empty() => {
                    open.swap_remove(random.usize(..open.len()))
                        .rollback()
                        .await
                        .unwrap();
                }
                7 => {
                    instance.feed.publish().await.unwrap();
                }
                8 => read(&publisher, &mut reader, &what).await,
                // Takes a second: now and then, and dates count from then on.
                9 if step == STEPS / 2 + 1 || random.u8(0..100) == 0 => {
                    publisher.close_second().await;
                    read(&publisher, &mut reader, &what).await;
                }
                _ => check(&publisher, &mut published, &what).await,
            }
        }
        for tx in open {
            tx.rollback().await.unwrap();
        }
        publisher.feed.publish().await.unwrap();
        check(&publisher, &mut published, "at the end").await;
        read(&publisher, &mut reader, "at the end").await;
        assert_eq!(published.len(), committed, "seed {seed}");
        assert_eq!(
            (reader.by_tag, reader.by_date),
            (committed as i64, committed as i64)
        );
    }
}

/// Reads the head by tag and by date alone; neither may lag behind what is published.
async fn read<B: Testable>(publisher: &Publisher<B>, reader: &mut Reader, what: &str) {
    let newest = publisher.feed.cursor().sequence;
    let by_tag = publisher
        .get("/feed", &[("if-none-match", reader.tag.as_str())])
        .await;
    if by_tag.status != NOT_MODIFIED {
        reader.tag = by_tag.header("etag");
        reader.by_tag = by_tag.sequences().first().copied().unwrap_or(0);
    }
    let by_date = publisher
        .get("/feed", &[("if-modified-since", reader.date.as_str())])
        .await;
    if by_date.status != NOT_MODIFIED {
        reader.date = by_date.header("last-modified");
        reader.by_date = by_date.sequences().first().copied().unwrap_or(0);
    }
    // On a slow machine a request finds the head outdated, and reads what other instances have numbered.
    let known = newest..=publisher.feed.cursor().sequence;
    for seen in [reader.by_tag, reader.by_date] {
        assert!(known.contains(&seen), "{what}: {seen} of {known:?}");
    }
}

/// What was published stays, in its place, and there is no hole.
async fn check<B: Testable>(
    publisher: &Publisher<B>,
    published: &mut BTreeMap<i64, String>,
    what: &str,
) {
    let rows = "SELECT sequence || ' ' || id FROM feed_event \
                WHERE sequence <= (SELECT sequence FROM feed_head) ORDER BY sequence";
    for (index, row) in B::texts(&publisher.database, rows).await.iter().enumerate() {
        let (sequence, id) = row.split_once(' ').unwrap();
        let sequence: i64 = sequence.parse().unwrap();
        assert_eq!(sequence, index as i64 + 1, "a hole: {what}");
        let before = published.insert(sequence, id.to_owned());
        assert!(
            before.is_none_or(|before| before == id),
            "renumbered: {what}"
        );
    }
}

/// The same history is the same bytes: on either database, and in any later version. If this
/// fails, readers and caches would see pages change that were promised not to (I3).
async fn the_bytes_of_a_page_are_as_they_were<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let head = "UPDATE feed_head SET feed_id = '01900000-0000-7000-8000-00000000feed', \
                epoch = 'gxldenxx', sequence = 20, anchor = '01900000-0000-7000-8000-000000000020', \
                updated = '2026-01-02T03:04:24.000Z'";
    B::run(&publisher.database, head).await;
    for n in 1..=20 {
        let insert = format!(
            "INSERT INTO feed_event (id, sequence, event_type, subject, time, updated, title, \
             summary, link, data) VALUES ('01900000-0000-7000-8000-0000000000{n:02}', {n}, \
             'order.placed', 'order/{n}', '2026-01-02T03:04:{n:02}.100Z', \
             '2026-01-02T03:04:{n:02}.250Z', 'Order {n} placed: 1 line, 42.00 EUR', \
             'For <b>O''Brien</b> & Müller', 'order/{n}', '{{}}')"
        );
        B::run(&publisher.database, &insert).await;
    }
    let later = Publisher::<B>::open(url).await;
    let page = later.get("/feed/gxldenxx/1", &[]).await;
    let golden = include_str!("golden/page.xml");
    assert_eq!(page.body, golden, "an immutable page has changed");
}

/// The database is restored to an older state under a running service, and is further than before when
/// the service reads it again.
async fn what_was_read_before_the_database_went_back_counts_no_more<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(28).await;
    let old = publisher.get("/feed", &[]).await;
    let epoch = old.cursor().split('.').next().unwrap().to_owned();
    let second = format!("/feed/{epoch}/2");
    let before = publisher.get(&second, &[]).await;
    for sql in [
        "DELETE FROM feed_event WHERE sequence > 15",
        "UPDATE feed_head SET sequence = 15,
             anchor = (SELECT id FROM feed_event WHERE sequence = 15)",
    ] {
        B::run(&publisher.database, sql).await;
    }
    publisher.publish(16).await;
    let ids = "SELECT CAST(id AS TEXT) FROM feed_event ORDER BY sequence";
    let ids = B::texts(&publisher.database, ids).await;
    let head = publisher.get("/feed", &[]).await;
    let shown = |body: &str, id: &String| body.contains(&format!("urn:uuid:{id}"));
    for (sequence, id) in (1..).zip(&ids) {
        assert_eq!(shown(&head.body, id), sequence > 20, "event {sequence}");
    }
    let page = publisher.get(&second, &[]).await;
    assert_ne!(page.body, before.body);
    assert!(ids[10..20].iter().all(|id| shown(&page.body, id)));
    // A reader whose cursor is gone gets an error.
    let after = format!("/feed?after={}", old.cursor());
    assert_eq!(publisher.get(&after, &[]).await.status, 410);
    let tag = old.header("etag");
    let asked = [("if-none-match", tag.as_str()), ("a-im", "feed")];
    let whole = publisher.get("/feed", &asked).await;
    assert_eq!(whole.status, 200, "not only what is new to another feed");
}
