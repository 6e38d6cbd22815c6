//! The service under test.

use std::future::Future;

use conformance::{Line, Subject};
use feed_core::Database;
use feed_core::consumer::Reconciliation;
use harness::Sql;
use harness::producer::Producer;
use shipping::ShippingService;
use shipping::store::Store;
use sqlx::{Postgres, Sqlite};

/// What a test reads and writes in a database itself.
pub(crate) trait Testable: Store + Sql {
    /// All columns by table, except parked events and lists of migrations.
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

/// The service, as the conformance suite needs it.
pub(crate) struct Shipments;

impl<S: Testable> Subject<S> for Shipments {
    type Service = ShippingService;

    const ONE: &'static str = "a shipment";
    const MANY: &'static str = "shipments";

    const DOCUMENT: &'static str = r#"{
        "id": 17,
        "customer": {"customerId": 1, "name": "<b>O'Brien", "firstname": "日本語"},
        "shippingAddress": {"street": "Dock 9", "zip": "20457", "city": "Hamburg"},
        "shipmentLine": [
            {"count": 2, "item": {"itemId": 1, "name": "iPod"}},
            {"count": 1, "item": {"itemId": 2, "name": "iPod touch"}}
        ],
        "status": "pending",
        "placed": "2026-03-04T05:06:07.089Z"
    }"#;
    const ORIGINAL: &'static str = r#"{
        "id": 7,
        "customer": {"customerId": 1, "name": "Curie", "firstname": "Marie"},
        "shippingAddress": {"street": "Rue 1", "zip": "75005", "city": "Paris"},
        "shipmentLine": [{"count": 2, "item": {"itemId": 1, "name": "iPod"}}],
        "status": "pending",
        "placed": "2017-05-01T10:00:07.000Z"
    }"#;
    const OF_ONE: &'static [&'static str] = &["id", "cancelled"];
    const ADDRESS: &'static str = "shippingAddress";
    const PLACED: &'static str = "pending";
    const CANCELLED: &'static str = "stopped";

    const NAMED: &'static [&'static str] = &["/", "/1"];
    const APART: &'static [&'static str] = &[];

    const TABLE: &'static str = "shipment";
    const LINES_TABLE: &'static str = "shipment_line";
    const COLUMNS: &'static [&'static str] = &["order_id", "cause", "status"];
    const CANCELLED_AT: &'static str = "cancelled_at";
    const PLACED_AT: &'static str = "placed_at";
    const SPOILED: &'static str = "UPDATE shipment_line SET count = 9";

    const NO_ORDER: (&'static str, &'static str, &'static str) = (
        "\"shippingAddress\"",
        "\"address\"",
        "shippingAddress: it is missing",
    );
    const NO_LINE: (Line<'static>, &'static str) = (
        (-1, "iPod nano", "1.00"),
        "orderLine[1].count: -1 is less than one piece",
    );
}

/// The service under test.
pub(crate) type App<S> = conformance::App<Shipments, S>;

/// The service on a database, before its first poll.
pub(crate) async fn open<S: Testable>(url: &str, feed_url: &str) -> App<S> {
    conformance::open::<Shipments, S>(url, feed_url).await
}

/// The service, after it has applied all events that `producer` has published.
pub(crate) async fn following<S: Testable>(url: &str, producer: &Producer) -> App<S> {
    conformance::following::<Shipments, S>(url, producer).await
}

/// Compares what is stored with what `producer` has published.
pub(crate) async fn compared<S: Testable>(app: &App<S>, producer: &Producer) -> Reconciliation {
    conformance::compared::<Shipments, S>(app, producer).await
}
