//! The consuming side against what the real feed sends: one effect for each event, in sequence,
//! whatever fails (I5–I8).

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use feed_core::consumer::{FeedClient, Handle, Polled};
use feed_core::http::metrics::{Measured, Value};
use feed_core::{
    Batch, CancellationToken, Consumer, Database, Effect, EffectError, Subscription, outbox,
};
use sqlx::{Sqlite, Transaction};

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, effects, event, serve, until,
    urns,
};

harness::on_both_databases! {
    each_event_has_one_effect_in_sequence
    a_consumer_that_is_far_behind_catches_up
    a_status_knows_of_events_that_come_while_it_catches_up
    a_consumer_that_is_up_to_date_gets_only_what_is_new
    a_public_link_leads_to_the_internal_address
    an_event_that_comes_again_has_no_second_effect
    a_failing_event_holds_its_subject_and_nothing_else
    an_event_to_be_retried_is_retried
    a_parked_event_is_applied_before_later_ones_of_its_subject
    a_feed_of_another_epoch_halts_the_subscription
    a_restored_feed_halts_the_subscription
    a_page_is_not_taken_for_a_feed
    a_part_of_a_feed_halts_the_subscription
    a_feed_that_takes_no_cursor_halts_the_subscription
    a_round_waits_no_longer_than_it_may
    a_client_has_settings_of_its_own
    numbers_without_a_cursor_hide_nothing
    a_feed_that_is_away_loses_nothing
    the_lag_behind_a_feed_that_was_never_reached_grows
    any_atom_feed_works
}

/// A publisher on SQLite that is served, and the URL of its feed.
pub(crate) async fn served() -> (harness::FreshDatabase, Publisher<Sqlite>, String) {
    let database = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(database.url()).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    (database, publisher, feed)
}

/// Polls until there is nothing new, without waiting at the server for more than that takes.
pub(crate) async fn drain<B: Testable, E: Effect<B>>(
    consumer: &mut Consumer<B, E>,
    publisher: &Publisher<Sqlite>,
) {
    let newest = publisher.feed.cursor().sequence;
    until("the consumer is up to date", async || {
        let status = consumer.handle().status().await.unwrap();
        if status.sequence >= newest && status.epoch.is_some() {
            return true;
        }
        consumer.poll_once().await.unwrap();
        false
    })
    .await;
}

async fn each_event_has_one_effect_in_sequence<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    let mut ids = Vec::new();
    for count in [3, 1, 9] {
        ids.extend(publisher.publish(count).await);
        drain(&mut consumer, &publisher).await;
        assert_eq!(effects(&database).await, urns(&ids));
    }
    let data = B::texts(&database, "SELECT data FROM effect ORDER BY position").await;
    let told = "SELECT data FROM feed_event ORDER BY sequence";
    assert_eq!(data, Sqlite::texts(&publisher.database, told).await);
    let claims = B::numbers(&database, "SELECT count(*) FROM feed_claim").await;
    assert_eq!(claims, [13]);
}

async fn a_consumer_that_is_far_behind_catches_up<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let ids = publisher.publish(257).await;
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut consumer, &publisher).await;
    assert_eq!(effects(&database).await, urns(&ids));
    let status = consumer.handle().status().await.unwrap();
    assert_eq!(
        (status.sequence, status.head, status.lag.events),
        (257, 257, 0)
    );
}

/// Publishes more as soon as it is called, and notes with each batch what the status then knows of the feed.
struct Growing<B: Testable> {
    publisher: Arc<Publisher<Sqlite>>,
    handle: Arc<OnceLock<Handle<B>>>,
    /// The last event of a batch, and the newest one that is known.
    known: Arc<Mutex<Vec<(i64, i64)>>>,
}

impl<B: Testable> Effect<B> for Growing<B> {
    async fn apply(
        &self,
        _: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let last = events.iter().filter_map(|event| event.sequence).max();
        if self.known.lock().unwrap().is_empty() {
            publish_at_once(&self.publisher, 5000).await;
        }
        let status = self.handle.get().unwrap().status().await?;
        let mut known = self.known.lock().unwrap();
        known.push((last.unwrap(), status.head));
        Ok(())
    }
}

async fn a_status_knows_of_events_that_come_while_it_catches_up<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    // More than are read ahead of the first batch.
    publish_at_once(&publisher, 5500).await;
    let database = consumer_database::<B>(url).await;
    let (publisher, handle, known) = (Arc::new(publisher), Arc::default(), Arc::default());
    let growing = Growing {
        publisher: Arc::clone(&publisher),
        handle: Arc::clone(&handle),
        known: Arc::clone(&known),
    };
    let mut consumer = consumer(&database, &feed, growing).await;
    assert!(handle.set(consumer.handle()).is_ok());
    drain(&mut consumer, &publisher).await;
    drain(&mut consumer, &publisher).await;
    let known = known.lock().unwrap();
    // The document that goes beyond the head that was known has a thousand events at most.
    let later: Vec<_> = known.iter().filter(|(last, _)| *last > 6500).collect();
    assert!(later.len() > 2, "{known:?}");
    assert!(later.iter().all(|(_, head)| *head == 10_500), "{known:?}");
}

async fn publish_at_once(publisher: &Publisher<Sqlite>, count: i64) {
    let mut tx = publisher.database.begin().await.unwrap();
    for n in 0..count {
        let event = event(&format!("order/{}", n % 10));
        outbox::append(&mut tx, &event).await.unwrap();
    }
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
}

async fn a_consumer_that_is_up_to_date_gets_only_what_is_new<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    publisher.publish(5).await;
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut consumer, &publisher).await;
    // It learns the tag of the head with data.
    consumer.poll_once().await.unwrap();
    // It waits at the server, which notifies it.
    let news = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        publisher.publish(2).await
    };
    let (polled, _) = tokio::join!(consumer.poll_once(), news);
    assert_eq!(polled.unwrap(), Polled::Applied(2));
}

async fn a_public_link_leads_to_the_internal_address<B: Testable>(url: &str) {
    // `Publisher` calls itself https://shop.example/order/, which nobody answers.
    let (_source, publisher, feed) = served().await;
    publisher.publish(25).await;
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut consumer, &publisher).await;
    assert_eq!(effects(&database).await.len(), 25);
}

async fn an_event_that_comes_again_has_no_second_effect<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let ids = publisher.publish(25).await;
    let database = consumer_database::<B>(url).await;
    let mut first = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut first, &publisher).await;
    // As a crash between effect and cursor would leave it, if they were not one transaction.
    let again = "UPDATE feed_partition \
                 SET sequence = 0, anchor = NULL, etag = NULL, lease_owner = NULL";
    B::run(&database, again).await;
    B::run(&database, "DELETE FROM feed_instance").await;
    let mut second = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut second, &publisher).await;
    assert_eq!(effects(&database).await, urns(&ids));
}

async fn a_failing_event_holds_its_subject_and_nothing_else<B: Testable>(url: &str) {
    for fail in [Fail::Park, Fail::Panic, Fail::Constraint] {
        let (_source, publisher, feed) = served().await;
        let ids = publisher.publish(30).await;
        let database = consumer_database::<B>(url).await;
        forget_all(&database).await;
        let recorder = Recorder::failing("order/3", fail);
        let mut consumer = consumer(&database, &feed, recorder.clone()).await;
        drain(&mut consumer, &publisher).await;

        let (held, others): (Vec<_>, Vec<_>) =
            ids.iter().enumerate().partition(|(n, _)| n % 10 == 3);
        let others: Vec<_> = others.into_iter().map(|(_, id)| *id).collect();
        assert_eq!(effects(&database).await, urns(&others), "{fail:?}");
        let status = consumer.handle().status().await.unwrap();
        assert_eq!((status.parked, status.waiting), (1, 2), "{fail:?}");
        let parked = consumer.handle().parked(100).await.unwrap();
        assert_eq!(parked[0].id, held[0].1.urn());
        assert!(
            parked[0]
                .reason
                .as_ref()
                .is_some_and(|reason| !reason.is_empty())
        );
        assert_eq!(parked[1].reason, None);
    }
}

async fn an_event_to_be_retried_is_retried<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let ids = publisher.publish(12).await;
    let database = consumer_database::<B>(url).await;
    let recorder = Recorder::failing("order/1", Fail::Retry);
    let mut consumer = consumer(&database, &feed, recorder.clone()).await;
    drain(&mut consumer, &publisher).await;
    assert_eq!(effects(&database).await.len(), 10);

    recorder.repair();
    let running = tokio::spawn(consumer.run());
    until("the retry is due and done", async || {
        effects(&database).await.len() == 12
    })
    .await;
    running.abort();
    let order = effects(&database).await;
    assert_eq!(
        order[10..],
        urns(&[ids[1], ids[11]]),
        "in sequence within the subject"
    );
}

async fn a_parked_event_is_applied_before_later_ones_of_its_subject<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let mut ids = publisher.publish(12).await;
    let database = consumer_database::<B>(url).await;
    let recorder = Recorder::failing("order/1", Fail::Park);
    let mut consumer = consumer(&database, &feed, recorder.clone()).await;
    drain(&mut consumer, &publisher).await;
    ids.extend(publisher.publish(2).await);
    recorder.repair();
    drain(&mut consumer, &publisher).await;
    assert_eq!(
        effects(&database).await.len(),
        11,
        "the new event of the subject waits too"
    );

    // What a person's retry does.
    consumer
        .handle()
        .retry_selected(&feed_core::consumer::Selection::default(), "me")
        .await
        .unwrap();
    publisher.publish(1).await;
    drain(&mut consumer, &publisher).await;
    let subject = "SELECT event_id FROM effect WHERE subject = 'order/1' ORDER BY position";
    let expected = urns(&[ids[1], ids[11], ids[13]]);
    assert_eq!(B::texts(&database, subject).await, expected);
    let left = B::numbers(&database, "SELECT count(*) FROM feed_parked").await;
    assert_eq!(left, [0]);
}

async fn halted<B: Testable>(database: &Database<B>, feed: &str) -> String {
    let mut consumer = consumer(database, feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Halted);
    let status = consumer.handle().status().await.unwrap();
    // It stays halted, also for the next instance.
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Halted);
    status.halted.unwrap()
}

async fn a_feed_of_another_epoch_halts_the_subscription<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    publisher.publish(5).await;
    let database = consumer_database::<B>(url).await;
    let mut first = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut first, &publisher).await;
    B::run(&database, "UPDATE feed_partition SET lease_owner = NULL").await;

    let (_other_source, other, feed) = served().await;
    other.publish(7).await;
    let reason = halted(&database, &feed).await;
    assert!(reason.contains("another history"), "{reason}");
    assert_eq!(effects(&database).await.len(), 5);
}

/// The feed returns to a backup, and then perhaps diverges: it is shorter, as long, or longer. In the last
/// case the head begins right after the consumer's cursor.
async fn a_restored_feed_halts_the_subscription<B: Testable>(url: &str) {
    for (seen, back_to, went_on) in [(5, 2, 0), (5, 2, 3), (5, 2, 30), (10, 8, 17)] {
        let (_source, publisher, feed) = served().await;
        publisher.publish(seen).await;
        let database = consumer_database::<B>(url).await;
        forget_all(&database).await;
        let mut first = consumer(&database, &feed, Recorder::default()).await;
        drain(&mut first, &publisher).await;
        B::run(&database, "UPDATE feed_partition SET lease_owner = NULL").await;

        let delete = format!("DELETE FROM feed_event WHERE sequence > {back_to}");
        Sqlite::run(&publisher.database, &delete).await;
        let head = format!(
            "UPDATE feed_head SET sequence = {back_to}, \
             anchor = (SELECT id FROM feed_event WHERE sequence = {back_to})"
        );
        Sqlite::run(&publisher.database, &head).await;
        publisher.feed.publish().await.unwrap();
        publisher.publish(went_on).await;
        let reason = halted(&database, &feed).await;
        assert!(reason.contains("restored"), "{reason}");
        assert_eq!(effects(&database).await.len() as i64, seen);
    }
}

/// Empties a consumer's database, for another round on it.
pub(crate) async fn forget_all<B: Testable>(database: &Database<B>) {
    let tables = [
        "effect",
        "feed_claim",
        "feed_parked",
        "feed_skip",
        "feed_undo",
        "feed_decision",
        "feed_partition",
        "feed_instance",
        "feed_subscription",
    ];
    for table in tables {
        B::run(database, &format!("DELETE FROM {table}")).await;
    }
}

/// A page has an end: a consumer of it would look up to date and stand still.
async fn a_page_is_not_taken_for_a_feed<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    publisher.publish(25).await;
    let database = consumer_database::<B>(url).await;
    let epoch = publisher.feed.cursor().epoch;
    for part in [format!("{feed}/{epoch}/1"), format!("{feed}?after=start")] {
        forget_all(&database).await;
        let mut consumer = consumer(&database, &part, Recorder::default()).await;
        let error = consumer.poll_once().await.unwrap_err();
        assert!(error.to_string().contains("not its head"), "{error}");
        assert_eq!(effects(&database).await.len(), 0);
    }
    // Its credentials are shown to the feed, and to nobody else.
    let part = format!("{feed}/{epoch}/1").replace("://", "://eve:secret@");
    let subscription = Subscription::new("order", part.parse().unwrap());
    assert!(!format!("{subscription:?}").contains("secret"));
    let consumer = consumer(&database, &part, Recorder::default()).await;
    let (handle, stop) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    let mut said = None;
    until("its status has the reason", async || {
        said = handle.status().await.unwrap().last_error;
        said.as_deref()
            .is_some_and(|said| said.contains("not its head"))
    })
    .await;
    assert!(!format!("{said:?}").contains("secret"), "{said:?}");
    stop.cancel();
    running.await.unwrap();
}

/// What it shows is not all, and nobody could see what is missing.
async fn a_part_of_a_feed_halts_the_subscription<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    publisher.publish(3).await;
    let database = consumer_database::<B>(url).await;
    for part in ["type=order.placed", "subject=order%2F1"] {
        forget_all(&database).await;
        let reason = halted(&database, &format!("{feed}?{part}")).await;
        let says = "Subscription::feed_url must point to the whole feed";
        assert!(reason.contains(says), "{part}: {reason}");
    }
}

/// Another server's way to say the same.
async fn a_feed_that_takes_no_cursor_halts_the_subscription<B: Testable>(url: &str) {
    let head = format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:ev=\"{}\">\
         <ev:cursor>abcdefgh.7.00000000000000000000000000000007</ev:cursor>\
         <entry><id>urn:uuid:00000000-0000-0000-0000-000000000007</id>\
         <updated>2026-01-01T00:00:00Z</updated><ev:sequence>7</ev:sequence></entry></feed>",
        feed_core::http::NAMESPACE
    );
    let answer = move |uri: axum::http::Uri| async move {
        match uri.query() {
            None => head.into_response(),
            Some(_) => StatusCode::BAD_REQUEST.into_response(),
        }
    };
    let feed = format!(
        "{}/feed",
        serve(Router::new().route("/feed", get(answer))).await
    );
    let database = consumer_database::<B>(url).await;
    let reason = halted(&database, &feed).await;
    let says = "Subscription::feed_url must point to the whole feed";
    assert!(reason.contains(says) && reason.contains("400"), "{reason}");
}

async fn a_round_waits_no_longer_than_it_may<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    publisher.publish(1).await;
    let database = consumer_database::<B>(url).await;
    let subscription = Subscription {
        wait: Duration::ZERO,
        ..Subscription::new("order", feed.parse().unwrap())
    };
    let (effect, shutdown) = (Recorder::default(), CancellationToken::new());
    let opened = Consumer::open(database, subscription, effect, shutdown).await;
    let mut consumer = opened.unwrap();
    drain(&mut consumer, &publisher).await;
    // The server would hold each of these back for twenty seconds.
    let begun = Instant::now();
    for _ in 0..3 {
        let round = consumer.poll_once().await.unwrap();
        assert!(matches!(round, Polled::UpToDate { .. }), "{round:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}

async fn a_client_has_settings_of_its_own<B: Testable>(url: &str) {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let answer = move |headers: HeaderMap| async move {
        heard.lock().unwrap().push(headers);
        "<feed xmlns=\"http://www.w3.org/2005/Atom\"/>"
    };
    let feed = format!(
        "{}/feed",
        serve(Router::new().route("/feed", get(answer))).await
    );
    let team = |client: reqwest::ClientBuilder| {
        let mut headers = HeaderMap::new();
        headers.insert("x-team", "sales".parse().unwrap());
        // What a consumer needs is not to be had otherwise.
        headers.insert(header::ACCEPT_ENCODING, "br".parse().unwrap());
        client.default_headers(headers)
    };
    let subscription = Subscription {
        client: Some(FeedClient::new(team)),
        ..Subscription::new("order", feed.parse().unwrap())
    };
    let database = consumer_database::<B>(url).await;
    let (effect, shutdown) = (Recorder::default(), CancellationToken::new());
    let opened = Consumer::open(database, subscription, effect, shutdown).await;
    opened.unwrap().poll_once().await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["x-team"], "sales");
    assert_eq!(seen[0][header::ACCEPT_ENCODING], "gzip");
}

/// Numbers without a cursor are another feed's, copied: they must not hide entries.
async fn numbers_without_a_cursor_hide_nothing<B: Testable>(url: &str) {
    let entries: String = [8, 3, 9, 1]
        .iter()
        .map(|n| {
            entry(*n).replace(
                "</entry>",
                &format!("<ev:sequence>{n}</ev:sequence></entry>"),
            )
        })
        .collect();
    let document = format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:ev=\"{}\"><title>t</title>\
         <id>tag:example.com/all</id><link rel=\"self\" href=\"http://order:8080/feed\"/><updated>2017-05-01T10:00:05Z</updated>{entries}</feed>",
        feed_core::http::NAMESPACE
    );
    let order = |path: axum::extract::Path<u32>| async move { format!("{{\"id\":{}}}", path.0) };
    let router = Router::new()
        .route("/feed", get(move || async move { document }))
        .route("/order/{id}", get(order));
    let feed = format!("{}/feed", serve(router).await);
    let database = consumer_database::<B>(url).await;
    // One of them fails, so that they go one by one.
    let recorder = Recorder::failing("tag:example.com/order/9", Fail::Park);
    let mut consumer = consumer(&database, &feed, recorder).await;
    consumer.poll_once().await.unwrap();
    assert_eq!(effects(&database).await.len(), 3);
    assert_eq!(consumer.handle().status().await.unwrap().parked, 1);
}

async fn a_feed_that_is_away_loses_nothing<B: Testable>(url: &str) {
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, "http://127.0.0.1:9/feed", Recorder::default()).await;
    assert!(consumer.poll_once().await.is_err());
    let status = consumer.handle().status().await.unwrap();
    assert_eq!((status.sequence, status.halted), (0, None));
}

/// In the status and in the metric, in this process and in another one.
async fn the_lag_behind_a_feed_that_was_never_reached_grows<B: Testable>(url: &str) {
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, "http://127.0.0.1:9/feed", Recorder::default()).await;
    assert!(consumer.poll_once().await.is_err());
    let (own, name) = (consumer.handle(), "http://127.0.0.1:9/feed");
    let other = Subscription::new("order", name.parse().unwrap());
    let other = Handle::to_read(database.clone(), other);
    let seconds = async |handle: &Handle<B>| {
        let lag = handle.status().await.unwrap().lag;
        let metrics = handle.measure().await.into_iter();
        let metric = metrics.filter(|metric| metric.name == "subscription_lag_seconds");
        let [Value::Gauge(measured)] = metric.map(|metric| metric.value).collect::<Vec<_>>()[..]
        else {
            panic!("one gauge")
        };
        assert_eq!(lag.events, 0);
        (lag.seconds.unwrap(), measured as i64)
    };
    assert_eq!(seconds(&own).await, (0, 0), "it has just started");
    let ago = [
        "started_at - interval '1 hour'",
        "strftime('%Y-%m-%dT%H:%M:%fZ', started_at, '-1 hour')",
    ];
    let sql = format!("UPDATE feed_instance SET started_at = {}", ago[B::DIALECT]);
    B::run(&database, &sql).await;
    for handle in [own, other] {
        let (shown, measured) = seconds(&handle).await;
        assert!((3600..3720).contains(&shown), "{shown}");
        assert!((shown..shown + 60).contains(&measured), "{measured}");
    }
}

/// The original's feed: one document, no sequence, no tag, content by address.
async fn any_atom_feed_works<B: Testable>(url: &str) {
    let entries = std::sync::Arc::new(std::sync::Mutex::new(vec![7, 8]));
    let shown = entries.clone();
    let feed = move |headers: HeaderMap| {
        let entries: String = shown.lock().unwrap().iter().map(|n| entry(*n)).collect();
        async move {
            let date = format!("Mon, 01 May 2017 10:00:{:02} GMT", entries.len() % 60);
            if headers
                .get(header::IF_MODIFIED_SINCE)
                .is_some_and(|since| since == date.as_str())
            {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            let document = format!(
                "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Order</title>\
                 <link rel=\"self\" href=\"http://order:8080/feed\"/><id>tag:example.com/order</id>\
                 <updated>2017-05-01T10:00:05Z</updated>{entries}</feed>"
            );
            ([(header::LAST_MODIFIED, date)], document).into_response()
        }
    };
    let order = |path: axum::extract::Path<u32>| async move { format!("{{\"id\":{}}}", path.0) };
    let router = Router::new()
        .route("/feed", get(feed))
        .route("/order/{id}", get(order));
    let address = serve(router).await;

    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &format!("{address}/feed"), Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(2));
    let again = consumer.poll_once().await.unwrap();
    assert_eq!(again, Polled::UpToDate { waited: false });
    entries.lock().unwrap().insert(0, 9);
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(1));
    let data = B::texts(&database, "SELECT data FROM effect ORDER BY position").await;
    assert_eq!(
        data,
        ["{\"id\":8}", "{\"id\":7}", "{\"id\":9}"],
        "oldest first"
    );
}

fn entry(n: u32) -> String {
    format!(
        "<entry><title>Order {n}</title><id>tag:example.com/order/{n}</id>\
         <updated>2017-05-01T10:00:05Z</updated><summary>This is the order {n}</summary>\
         <content type=\"application/json\" src=\"http://order:8080/order/{n}\"/></entry>"
    )
}
