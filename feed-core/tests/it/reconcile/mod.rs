//! The comparison of the feed with what is stored: it finds what differs, and nothing else, while
//! both continue to change.

mod meanwhile;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use feed_core::consumer::{
    Bound, Cited, Compared, Decision, Difference, Kind, Period, Polled, Reconcile, ReconcileError,
    Reconciliation, reconcile,
};
use feed_core::{Consumer, Database, Received};
use sqlx::{Postgres, Sqlite};

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, serve, until, urns,
};

harness::on_both_databases! {
    differences_are_found_and_kept
    a_part_without_differences_clears_none_elsewhere
    after_normal_traffic_there_are_none
    what_has_no_effect_is_left_out
    it_begins_at_the_given_sequence
    a_period_is_compared_by_itself
    what_was_never_to_be_taken_is_left_out
    what_cannot_be_compared_is_an_error
    a_feed_without_numbers_is_compared_by_its_claims
}

/// Each event has one row with its id, and there are no others.
#[derive(Default)]
struct Ledger {
    expected: HashMap<String, (String, Cited)>,
    left_out: HashSet<String>,
}

impl Ledger {
    fn note(&mut self, event: &Received, settled: bool) {
        match settled {
            true => {
                let named = (event.subject.clone(), Cited::from(event));
                self.expected.insert(event.id.clone(), named);
            }
            false => _ = self.left_out.insert(event.subject.clone()),
        }
    }

    fn differences(mut self, rows: Vec<(String, String)>) -> Vec<Difference> {
        let mut all = Vec::new();
        for (event, subject) in rows {
            if self.expected.remove(&event).is_none() {
                all.push((subject, format!("{event} is unexplained")));
            }
        }
        let missing = self.expected.into_values();
        all.extend(missing.map(|(subject, cited)| (subject, format!("{cited} is missing"))));
        all.retain(|(subject, _)| !self.left_out.contains(subject));
        let all = all.into_iter().map(|(id, what)| Difference {
            id,
            what,
            kind: Kind::Different,
        });
        all.collect()
    }
}

macro_rules! ledger {
    ($($backend:ty)*) => {$(
        impl Reconcile<$backend> for Ledger {
            fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String> {
                self.note(event, settled);
                Ok(())
            }

            async fn compare(self, database: &Database<$backend>) -> sqlx::Result<Compared> {
                let rows = sqlx::query_as("SELECT event_id, subject FROM effect");
                Ok(Compared { differences: self.differences(rows.fetch_all(database.reader()).await?), ..Compared::default() })
            }
        }
    )*};
}
ledger! { Postgres Sqlite }

/// A publisher, and a consumer of it that is stepped.
struct Shop<B: Testable> {
    publisher: Publisher<Sqlite>,
    consumer: Consumer<B, Recorder>,
    recorder: Recorder,
    database: feed_core::Database<B>,
    _source: harness::FreshDatabase,
}

impl<B: Testable> Shop<B>
where
    Ledger: Reconcile<B>,
{
    async fn open(url: &str) -> Self {
        let source = harness::FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let database = consumer_database::<B>(url).await;
        let recorder = Recorder::default();
        Self {
            consumer: consumer(&database, &feed, recorder.clone()).await,
            publisher,
            recorder,
            database,
            _source: source,
        }
    }

    /// Publishes that many events, and takes them.
    async fn take(&mut self, count: i64) -> Vec<String> {
        let ids = self.publisher.publish(count).await;
        catch_up(&mut self.consumer, self.publisher.feed.cursor().sequence).await;
        urns(&ids)
    }

    async fn run(&self, sql: &str) {
        B::run(&self.database, sql).await;
    }

    async fn reconcile(&self) -> Reconciliation {
        self.of(Period::default()).await.unwrap()
    }

    async fn of(&self, period: Period) -> Result<Reconciliation, ReconcileError> {
        reconcile::<B, Ledger>(&self.consumer.handle(), period, |_, _| ()).await
    }
}

async fn catch_up<B: Testable>(consumer: &mut Consumer<B, Recorder>, newest: i64) {
    until("the consumer is up to date", async || {
        if consumer.handle().status().await.unwrap().sequence >= newest {
            return true;
        }
        consumer.poll_once().await.unwrap();
        false
    })
    .await;
}

fn whats(result: &Reconciliation) -> Vec<&str> {
    assert_eq!(result.found, result.differences.len() as u64);
    let all = result.differences.iter();
    all.map(|difference| difference.what.as_str()).collect()
}

async fn differences_are_found_and_kept<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    let ids = shop.take(25).await;
    assert_eq!(shop.consumer.handle().reconciliation().await.unwrap(), None);
    let (lost, other) = (&ids[6], &ids[17]);
    shop.run(&format!("DELETE FROM effect WHERE event_id = '{lost}'"))
        .await;
    shop.run(&format!(
        "UPDATE effect SET event_id = 'other' WHERE event_id = '{other}'"
    ))
    .await;
    let result = shop.reconcile().await;
    let mut found = whats(&result);
    found.sort_unstable();
    let expected = [
        format!("event 18 ({other}) is missing"),
        format!("event 7 ({lost}) is missing"),
        "other is unexplained".to_owned(),
    ];
    assert_eq!(found, expected);
    assert_eq!((result.from, result.to), (1, 25));
    assert_eq!((result.events, result.left_out), (25, 0));
    let kept = shop.consumer.handle().reconciliation().await.unwrap();
    assert_eq!(kept, Some(result));
    // The kept one is the last one.
    shop.run("DELETE FROM effect").await;
    let result = shop.reconcile().await;
    assert_eq!(result.found, 25);
    let kept = shop.consumer.handle().reconciliation().await.unwrap();
    assert_eq!(kept, Some(result));
}

async fn a_part_without_differences_clears_none_elsewhere<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    let ids = shop.take(25).await;
    let part = |from, until| Period {
        from: Some(Bound::Sequence(from)),
        until: Some(Bound::Sequence(until)),
    };
    let delete = |n: usize| format!("DELETE FROM effect WHERE event_id = '{}'", ids[n]);
    shop.run(&delete(6)).await;
    let whole = shop.reconcile().await;
    assert_eq!(whole.found, 1);
    let handle = shop.consumer.handle();
    let kept = async || handle.reconciliation().await.unwrap();
    // The publisher has ten subjects in turn: events 9 and 10 have others than event 7.
    assert_eq!(shop.of(part(9, 10)).await.unwrap().found, 0);
    assert_eq!(kept().await, Some(whole));
    // Of differences in two parts, neither clears the other.
    shop.run(&delete(8)).await;
    let other = shop.of(part(9, 10)).await.unwrap();
    assert_eq!(other.found, 1);
    assert_eq!(kept().await, Some(other.clone()));
    for (n, subject) in [(8, "order/8"), (6, "order/6")] {
        let id = &ids[n];
        shop.run(&format!(
            "INSERT INTO effect (event_id, subject) VALUES ('{id}', '{subject}')"
        ))
        .await;
        assert_eq!(shop.of(part(9, 10)).await.unwrap().found, 0);
        assert_eq!(kept().await, Some(other.clone()));
    }
    let whole = shop.reconcile().await;
    assert_eq!(whats(&whole), [""; 0]);
    assert_eq!(kept().await, Some(whole));
}

async fn after_normal_traffic_there_are_none<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    // Nothing taken, nothing published, ends of pages, more than one page.
    for count in [0, 1, 8, 1, 10, 123, 1_000] {
        shop.take(count).await;
        let result = shop.reconcile().await;
        assert_eq!(whats(&result), [""; 0]);
        let newest = shop.publisher.feed.cursor().sequence;
        assert_eq!((result.to, result.events), (newest, newest.unsigned_abs()));
    }
    let mut seen = Vec::new();
    let handle = shop.consumer.handle();
    reconcile::<B, Ledger>(&handle, Period::default(), |at, to| seen.push((at, to)))
        .await
        .unwrap();
    assert_eq!(seen.last(), Some(&(1_143, 1_143)));
    assert!(seen.len() > 1 && seen.is_sorted());
}

async fn what_has_no_effect_is_left_out<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    for (subject, fail) in [("order/3", Fail::Park), ("order/4", Fail::Park)] {
        let mut fails = shop.recorder.fails.lock().unwrap();
        fails.push((subject.to_owned(), fail));
    }
    let ids = shop.take(20).await;
    let result = shop.reconcile().await;
    assert_eq!(whats(&result), [""; 0]);
    assert_eq!((result.events, result.left_out), (16, 4));

    // One is skipped, and the later one of its subject has its effect.
    shop.recorder.repair();
    let handle = shop.consumer.handle();
    handle
        .skip(&ids[3], "the customer is unknown", "Ann")
        .await
        .unwrap();
    let effect = format!("SELECT event_id FROM effect WHERE event_id = '{}'", ids[13]);
    until("the later one is applied", async || {
        handle
            .retry_selected(&feed_core::consumer::Selection::default(), "Ann")
            .await
            .unwrap();
        shop.consumer.poll_once().await.unwrap();
        B::texts(&shop.database, &effect).await.len() == 1
    })
    .await;
    let result = shop.reconcile().await;
    assert_eq!(whats(&result), [""; 0]);
    assert_eq!(result.left_out, 1);
}

async fn it_begins_at_the_given_sequence<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    let ids = shop.take(35).await;
    for n in [10, 20, 34] {
        shop.run(&format!("DELETE FROM effect WHERE event_id = '{}'", ids[n]))
            .await;
    }
    let result = shop.of(Period::since(21)).await.unwrap();
    assert_eq!((result.from, result.to, result.events), (21, 35, 15));
    // This comparison takes what comes before for unexplained; others know better.
    let missing = |result: &Reconciliation| {
        let all = result.differences.iter();
        all.filter(|difference| difference.what.ends_with("missing"))
            .count()
    };
    assert_eq!(missing(&result), 2);
    assert_eq!(missing(&shop.of(Period::since(22)).await.unwrap()), 1);
    assert_eq!(missing(&shop.of(Period::since(-3)).await.unwrap()), 3);
}

async fn a_period_is_compared_by_itself<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    let mut ids = Vec::new();
    for (subject, time) in [
        ("order/1", "2026-10-31T23:59:59.999Z"),
        ("order/2", "2026-11-01T00:00:00.000Z"),
        ("order/3", "2026-11-30T23:59:59.999Z"),
        ("order/4", "2026-12-01T00:00:00.000Z"),
        ("order/2", "2026-12-05T00:00:00.000Z"),
        ("order/5", "2026-12-06T00:00:00.000Z"),
    ] {
        let event = feed_core::NewEvent {
            time: time.parse().unwrap(),
            ..crate::support::event(subject)
        };
        ids.push(shop.publisher.commit_unnumbered(&event).await.urn());
    }
    shop.publisher.feed.publish().await.unwrap();
    catch_up(&mut shop.consumer, 6).await;
    let time = |text: &str| Some(Bound::Time(text.parse().unwrap()));
    let november = Period {
        from: time("2026-11-01T00:00:00Z"),
        until: time("2026-12-01T00:00:00Z"),
    };
    let result = shop.of(november).await.unwrap();
    assert_eq!((result.from, result.to, result.events), (2, 3, 2));
    assert_eq!(whats(&result), [""; 0], "what is stored of other months");
    assert_eq!(result.until, Some("2026-12-01T00:00:00Z".parse().unwrap()));
    // Nothing of other orders counts; a later event of an order of November does.
    for n in [0, 2, 3, 4, 5] {
        let delete = format!("DELETE FROM effect WHERE event_id = '{}'", ids[n]);
        shop.run(&delete).await;
    }
    let differing = |result: &Reconciliation| {
        let all = result.differences.iter();
        let mut all: Vec<String> = all.map(|difference| difference.id.clone()).collect();
        all.sort_unstable();
        all
    };
    let result = shop.of(november).await.unwrap();
    assert_eq!(differing(&result), ["order/2", "order/3"]);
    assert_eq!((result.events, result.totals.different), (2, 2));
    let from = |from, until| Period {
        from: Some(Bound::Sequence(from)),
        until: Some(Bound::Sequence(until)),
    };
    let result = shop.of(from(3, 4)).await.unwrap();
    assert_eq!((result.from, result.to, result.events), (3, 4, 2));
    assert_eq!(differing(&result), ["order/3", "order/4"]);
    let none = Period {
        from: None,
        until: time("2026-01-01T00:00:00Z"),
    };
    let result = shop.of(none).await.unwrap();
    assert_eq!((result.from, result.to, result.events), (0, 0, 0));
    assert_eq!(differing(&result), [""; 0]);
    let error = shop.of(from(1, 7)).await.unwrap_err();
    assert!(
        matches!(error, ReconcileError::NotTaken { event: 7, taken: 6 }),
        "{error}"
    );
}

/// An operator resumed the subscription from the newest event.
async fn what_was_never_to_be_taken_is_left_out<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    shop.take(5).await;
    shop.publisher.publish(17).await;
    let handle = shop.consumer.handle();
    let halt = "UPDATE feed_subscription SET halted = 'for a test'";
    B::run(&shop.database, halt).await;
    let now = Decision::Resume(feed_core::consumer::ResumeFrom::Now);
    handle.decide(now, "Ann").await.unwrap();
    until("the decision is carried out", async || {
        shop.consumer.poll_once().await.unwrap();
        handle.status().await.unwrap().begins == 22
    })
    .await;
    shop.publisher.publish(8).await;
    catch_up(&mut shop.consumer, 30).await;
    let result = shop.of(Period::since(1)).await.unwrap();
    assert_eq!(whats(&result), [""; 0]);
    assert_eq!((result.events, result.left_out), (8, 22));
    let result = shop.reconcile().await;
    assert_eq!((result.from, result.events, result.left_out), (23, 8, 0));
    // A replay takes some of them.
    handle.decide(Decision::Replay(10), "Ann").await.unwrap();
    until("the replay is executed", async || {
        shop.consumer.poll_once().await.unwrap();
        let status = handle.status().await.unwrap();
        status.decision.is_none() && status.sequence == 30
    })
    .await;
    let result = shop.reconcile().await;
    assert_eq!(whats(&result), [""; 0]);
    // The others have had this effect, which refuses a second one: they are parked.
    assert_eq!((result.from, result.events, result.left_out), (10, 13, 8));
}

async fn what_cannot_be_compared_is_an_error<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    shop.take(5).await;
    let nothing = reconcile::<B, ()>(&shop.consumer.handle(), Period::default(), |_, _| {}).await;
    assert!(matches!(nothing, Err(ReconcileError::ComparesNothing)));
    let ours = shop
        .consumer
        .handle()
        .status()
        .await
        .unwrap()
        .epoch
        .unwrap();
    shop.run("UPDATE feed_partition SET epoch = 'abcdefgh'")
        .await;
    let error = shop.of(Period::default()).await.unwrap_err();
    let expected = format!("the feed is another one: its epoch is {ours}, ours is abcdefgh");
    assert_eq!(error.to_string(), expected);
    // Restored from a backup.
    shop.run(&format!("UPDATE feed_partition SET epoch = '{ours}'"))
        .await;
    shop.run("UPDATE feed_partition SET sequence = 6").await;
    let error = shop.of(Period::default()).await.unwrap_err();
    let expected = "the feed ends at event 5, but events up to 6 were taken from it";
    assert_eq!(error.to_string(), expected);
    assert_eq!(shop.consumer.handle().reconciliation().await.unwrap(), None);
}

async fn a_feed_without_numbers_is_compared_by_its_claims<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let entry = |n: u32| {
        format!(
            "<entry><title>{n}</title><id>tag:x,{n}</id><updated>2026-01-01T00:00:{n:02}Z</updated>\
             <content>{n}</content></entry>"
        )
    };
    let newest = Arc::new(Mutex::new(4));
    let shown = newest.clone();
    // Two entries in a document.
    let document = move |page: u32| {
        let newest: u32 = *shown.lock().unwrap();
        let top = newest - 2 * page;
        let entries: String = (top.saturating_sub(1).max(1)..=top)
            .rev()
            .map(entry)
            .collect();
        let older = match top {
            0..3 => String::new(),
            _ => format!("<link rel=\"next\" href=\"/page/{}\"/>", page + 1),
        };
        format!(
            "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>t</title><id>i</id>\
             <updated>2026-01-01T00:00:00Z</updated>{older}{entries}</feed>"
        )
    };
    let head = document.clone();
    let router = Router::new()
        .route("/feed", get(async move || head(0)))
        .route(
            "/page/{n}",
            get(async move |page: axum::extract::Path<u32>| document(page.0)),
        );
    let feed = format!("{}/feed", serve(router).await);
    let database = consumer_database::<B>(url).await;
    let recorder = Recorder::failing("tag:x,2", Fail::Park);
    let mut consumer = consumer(&database, &feed, recorder).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(3));
    *newest.lock().unwrap() = 5;
    let handle = consumer.handle();
    let result = reconcile::<B, Ledger>(&handle, Period::default(), |_, _| ())
        .await
        .unwrap();
    assert_eq!(whats(&result), [""; 0]);
    // One is parked, and the newest was not taken.
    assert_eq!((result.events, result.left_out), (3, 2));
    B::run(&database, "DELETE FROM effect WHERE event_id = 'tag:x,1'").await;
    let result = reconcile::<B, Ledger>(&handle, Period::default(), |_, _| ())
        .await
        .unwrap();
    assert_eq!(whats(&result), ["event tag:x,1 is missing"]);
}
