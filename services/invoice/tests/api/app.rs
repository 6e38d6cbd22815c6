//! The service under test.

use clap::Parser;
use feed_core::consumer::{Handle, Reconciliation, reconcile};
use harness::producer::Producer;
use harness::{Follower, Sql};
use invoice::effect::Invoicing;
use invoice::reconcile::Expected;
use invoice::store::Store;
use invoice::{Config, Service};
use tokio_util::sync::CancellationToken;

/// What tests ask of a database beside the service.
pub(crate) trait Testable: Store + Sql {}
impl<S: Store + Sql> Testable for S {}

/// The settings of a service below a path, as behind a proxy.
pub(crate) fn config(url: &str, feed_url: &str) -> Config {
    Config::parse_from([
        "invoice",
        "--database-url",
        url,
        "--feed-url",
        feed_url,
        "--listen",
        "127.0.0.1:0",
        "--base-url",
        "https://shop.example/invoice",
    ])
}

/// The service under test.
pub(crate) type App<S> = Follower<S, Invoicing>;

/// The service on a database, which has polled nothing yet.
pub(crate) async fn open<S: Testable>(url: &str, feed_url: &str) -> App<S> {
    let config = config(url, feed_url);
    let service = invoice::open::<S>(&config, CancellationToken::new()).await;
    let Service {
        router,
        consumer,
        database,
        ..
    } = service.unwrap();
    App::new(router, consumer, database, "invoices")
}

/// A service that has taken all that `producer` has published.
pub(crate) async fn following<S: Testable>(url: &str, producer: &Producer) -> App<S> {
    let mut app = open(url, &producer.feed_url).await;
    app.catch_up(producer).await;
    app
}

/// What a person looks at and decides with.
pub(crate) async fn handle<S: Testable>(app: &App<S>, producer: &Producer) -> Handle<S> {
    let (database, feed) = (app.database().clone(), producer.feed_url.parse().unwrap());
    Handle::open(database, "order", feed).await.unwrap()
}

/// The events that have no effect, oldest first: sequence, type and reason.
pub(crate) async fn recorded<S: Testable>(
    app: &App<S>,
    producer: &Producer,
) -> Vec<(i64, String, String)> {
    let skipped = handle(app, producer).await.skipped(100).await.unwrap();
    let mut recorded: Vec<_> = skipped
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
pub(crate) async fn compared<S: Testable>(app: &App<S>, producer: &Producer) -> Reconciliation {
    let handle = handle(app, producer).await;
    let compared = reconcile::<S, Expected>(&handle, None, |_, _| ()).await;
    compared.unwrap()
}
