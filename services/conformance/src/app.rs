//! The service under test, and helpers to look at it.

use feed_console::service::{self, CommandLine, Config, Service, ServiceOn};
use feed_core::consumer::{Handle, Period, Reconciliation, reconcile};
use feed_core::{CancellationToken, Subscription};
use harness::producer::Producer;
use harness::{Follower, Sql};
use serde_json::Value;

use crate::subject::Subject;

/// An address at which no server listens.
pub const NOBODY: &str = "http://127.0.0.1:9/feed";

/// The service under test.
pub type App<T, S> = Follower<S, <<T as Subject<S>>::Service as ServiceOn<S>>::Effect>;

/// What it must have stored.
pub type Expected<T, S> = <<T as Subject<S>>::Service as ServiceOn<S>>::Expected;

/// The settings of a service whose base URL has a path, as behind a proxy.
pub fn config<T: Subject<S>, S: Sql>(
    url: &str,
    feed_url: &str,
) -> Config<<T::Service as Service>::Settings> {
    let base = format!("https://shop.example/{}", T::Service::NAME);
    let arguments = [
        T::Service::NAME,
        "--database-url",
        url,
        "--feed-url",
        feed_url,
        "--listen",
        "127.0.0.1:0",
        "--base-url",
        &base,
    ];
    let read = CommandLine::<T::Service>::try_parse_from(arguments);
    read.unwrap().config
}

/// The service on a database, before its first poll.
pub async fn open<T: Subject<S>, S: Sql>(url: &str, feed_url: &str) -> App<T, S> {
    let config = config::<T, S>(url, feed_url);
    let opened = service::open::<T::Service, S>(&config, CancellationToken::new()).await;
    let opened = opened.unwrap();
    App::<T, S>::new(opened.router, opened.consumer, opened.database, T::MANY)
}

/// The service, after it has applied all events that `producer` has published.
pub async fn following<T: Subject<S>, S: Sql>(url: &str, producer: &Producer) -> App<T, S> {
    let mut app = open::<T, S>(url, &producer.feed_url).await;
    app.catch_up(producer).await;
    app
}

/// The operator's handle.
pub async fn handle<T: Subject<S>, S: Sql>(app: &App<T, S>, producer: &Producer) -> Handle<S> {
    let (database, feed) = (app.database().clone(), producer.feed_url.parse().unwrap());
    let subscription = Subscription::new(T::Service::SUBSCRIPTION, feed);
    Handle::open(database, subscription).await.unwrap()
}

/// The events that have no effect, oldest first: sequence, type and reason.
pub async fn recorded<T: Subject<S>, S: Sql>(
    app: &App<T, S>,
    producer: &Producer,
) -> Vec<(i64, String, String)> {
    let skipped = handle::<T, S>(app, producer).await.skipped(100).await;
    let mut recorded: Vec<_> = skipped
        .unwrap()
        .into_iter()
        .map(|event| {
            assert!(event.subject.starts_with("order/") && event.skipped_by.is_none());
            let event_type = event.event_type.unwrap();
            (event.sequence.unwrap(), event_type, event.reason)
        })
        .collect();
    recorded.sort_unstable();
    recorded
}

/// Compares what is stored with what `producer` has published.
pub async fn compared<T: Subject<S>, S: Sql>(
    app: &App<T, S>,
    producer: &Producer,
) -> Reconciliation {
    let handle = handle::<T, S>(app, producer).await;
    let compared = reconcile::<S, Expected<T, S>>(&handle, Period::default(), |_, _| ()).await;
    compared.unwrap()
}

/// The documents on the first page of the list, those of the oldest orders first.
pub async fn documents<T: Subject<S>, S: Sql>(app: &App<T, S>) -> Vec<Value> {
    let list = app.json("/").await;
    let documents = list[T::MANY].as_array().unwrap();
    documents.iter().rev().cloned().collect()
}

/// The orders on the first page of the list, newest first, with their status.
pub async fn statuses<T: Subject<S>, S: Sql>(app: &App<T, S>) -> Vec<(i64, String)> {
    app.listed("status").await
}

/// The document without some of its members.
pub fn without(document: &Value, members: &[&str]) -> Value {
    let mut document = document.clone();
    for member in members {
        document.as_object_mut().unwrap().remove(*member);
    }
    document
}

/// Deletes all that is known of the feed: claims, cursors and the subscription. Only the service's own keys are left.
pub async fn forget<T: Subject<S>, S: Sql>(app: &App<T, S>) {
    for table in [
        "feed_claim",
        "feed_instance",
        "feed_partition",
        "feed_subscription",
    ] {
        S::run(app.database(), &format!("DELETE FROM {table}")).await;
    }
}

/// Deletes all claims and cursors.
pub async fn start_again<T: Subject<S>, S: Sql>(app: &App<T, S>) {
    for sql in [
        "DELETE FROM feed_claim",
        "UPDATE feed_partition SET epoch = NULL, sequence = 0, anchor = NULL, etag = NULL,
             last_modified = NULL, lease_owner = NULL, lease_epoch = lease_epoch + 1",
        "DELETE FROM feed_instance",
    ] {
        S::run(app.database(), sql).await;
    }
}

/// A record as texts name it, without the article.
pub(crate) fn one<T: Subject<S>, S: Sql>() -> &'static str {
    let (_, one) = T::ONE.split_once(' ').unwrap();
    one
}
