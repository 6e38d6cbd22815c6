//! The service under test.

use clap::Parser;
use harness::producer::Producer;
use harness::{Follower, Sql};
use invoice::effect::Invoicing;
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
    } = service.unwrap();
    App::new(router, consumer, database, "invoices")
}

/// A service that has taken all that `producer` has published.
pub(crate) async fn following<S: Testable>(url: &str, producer: &Producer) -> App<S> {
    let mut app = open(url, &producer.feed_url).await;
    app.catch_up(producer).await;
    app
}
