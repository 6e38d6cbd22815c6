//! The service under test.

use std::future::Future;

use clap::Parser;
use feed_core::Database;
use feed_core::consumer::{Handle, Reconciliation, reconcile};
use harness::producer::Producer;
use harness::{Follower, Sql};
use shipping::effect::Shipping;
use shipping::reconcile::Expected;
use shipping::store::Store;
use shipping::{Config, Service};
use sqlx::{Postgres, Sqlite};
use tokio_util::sync::CancellationToken;

/// What tests ask of a database beside the service.
pub(crate) trait Testable: Store + Sql {
    /// All columns by table, but for parked events and for lists of migrations.
    fn columns(database: &Database<Self>) -> impl Future<Output = Vec<(String, String)>> + Send;
}

macro_rules! testable {
    ($backend:ty, $columns:literal) => {
        impl Testable for $backend {
            async fn columns(database: &Database<Self>) -> Vec<(String, String)> {
                let rows = sqlx::query_as($columns).fetch_all(database.reader());
                rows.await.unwrap()
            }
        }
    };
}
testable!(
    Postgres,
    "SELECT table_name::text, column_name::text FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> 'feed_parked'
       AND table_name NOT LIKE '%_migrations'"
);
testable!(
    Sqlite,
    "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
     WHERE t.type = 'table' AND t.name <> 'feed_parked' AND t.name NOT LIKE '%_migrations'"
);

/// The settings of a service below a path, as behind a proxy.
pub(crate) fn config(url: &str, feed_url: &str) -> Config {
    Config::parse_from([
        "shipping",
        "--database-url",
        url,
        "--feed-url",
        feed_url,
        "--listen",
        "127.0.0.1:0",
        "--base-url",
        "https://shop.example/shipping",
    ])
}

/// The service under test.
pub(crate) type App<S> = Follower<S, Shipping>;

/// The service on a database, which has polled nothing yet.
pub(crate) async fn open<S: Testable>(url: &str, feed_url: &str) -> App<S> {
    let config = config(url, feed_url);
    let service = shipping::open::<S>(&config, CancellationToken::new()).await;
    let Service {
        router,
        consumer,
        database,
        ..
    } = service.unwrap();
    App::new(router, consumer, database, "shipments")
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
