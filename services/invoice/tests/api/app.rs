//! The service under test.

use conformance::{Line, Subject};
use feed_core::consumer::Reconciliation;
use harness::Sql;
use harness::producer::Producer;
use invoice::InvoiceService;
use invoice::store::Store;
use serde_json::Value;

/// What a test reads and writes in a database itself.
pub(crate) trait Testable: Store + Sql {}
impl<S: Store + Sql> Testable for S {}

/// The service, as the conformance suite needs it.
pub(crate) struct Invoices;

impl<S: Testable> Subject<S> for Invoices {
    type Service = InvoiceService;

    const ONE: &'static str = "an invoice";
    const MANY: &'static str = "invoices";

    const DOCUMENT: &'static str = r#"{
        "id": 17,
        "number": "2026-000001",
        "date": "2026-03-04T05:06:07.089Z",
        "order": 17,
        "customer": {"customerId": 1, "name": "<b>O'Brien", "firstname": "日本語",
                     "email": "ob@example.com"},
        "billingAddress": {"street": "Krischerstr. 100", "zip": "40789", "city": "Monheim"},
        "invoiceLine": [
            {"count": 2, "item": {"itemId": 1, "name": "iPod", "price": 42.00}},
            {"count": 1, "item": {"itemId": 2, "name": "iPod touch", "price": 21.00}}
        ],
        "total": 105.00,
        "currency": "EUR",
        "status": "issued",
        "_links": {"self": {"href": "https://shop.example/invoice/17"}}
    }"#;
    const ORIGINAL: &'static str = r#"{
        "id": 7,
        "number": "2017-000001",
        "date": "2017-05-01T10:00:07.000Z",
        "order": 7,
        "customer": {"customerId": 1, "name": "Curie", "firstname": "Marie",
                     "email": "marie@example.com"},
        "billingAddress": {"street": "Rue 2", "zip": "75005", "city": "Paris"},
        "invoiceLine": [{"count": 2, "item": {"itemId": 1, "name": "iPod", "price": 42.00}}],
        "total": 84.00,
        "currency": "EUR",
        "status": "issued",
        "_links": {"self": {"href": "https://shop.example/invoice/7"}}
    }"#;
    const OF_ONE: &'static [&'static str] =
        &["id", "number", "order", "creditDate", "cause", "_links"];
    const OF_EVENT: &'static [&'static str] = &["cause"];
    const ADDRESS: &'static str = "billingAddress";
    const PLACED: &'static str = "issued";
    const CANCELLED: &'static str = "credited";

    const NAMED: &'static [&'static str] = &["/", "/1", "/1/credit-note"];
    const APART: &'static [&'static str] = &[];

    const TABLE: &'static str = "invoice";
    const LINES_TABLE: &'static str = "invoice_line";
    const COLUMNS: &'static [&'static str] = &[
        "order_id",
        "year",
        "serial",
        "total_cents",
        "cause",
        "status",
    ];
    const CANCELLED_AT: &'static str = "credited_at";
    const PLACED_AT: &'static str = "issued_at";
    const SPOILED: &'static str = "UPDATE invoice SET total_cents = 1";

    const NO_ORDER: (&'static str, &'static str, &'static str) = (
        "\"firstname\"",
        "\"nickname\"",
        "the data is no order: missing field `firstname` at line 4 column",
    );
    const NO_LINE: (Line<'static>, &'static str) = (
        (1, "iPod touch", "21.005"),
        "orderLine[1].item.price: 21.005 has more than two decimals",
    );

    /// Numbers have no gaps.
    fn check(documents: &[Value], year: i32) {
        for (serial, invoice) in (1..).zip(documents) {
            assert_eq!(invoice["number"], format!("{year}-{serial:06}"));
        }
    }
}

/// The service under test.
pub(crate) type App<S> = conformance::App<Invoices, S>;

/// The service on a database, before its first poll.
pub(crate) async fn open<S: Testable>(url: &str, feed_url: &str) -> App<S> {
    conformance::open::<Invoices, S>(url, feed_url).await
}

/// The service, after it has applied all events that `producer` has published.
pub(crate) async fn following<S: Testable>(url: &str, producer: &Producer) -> App<S> {
    conformance::following::<Invoices, S>(url, producer).await
}

/// Compares what is stored with what `producer` has published.
pub(crate) async fn compared<S: Testable>(app: &App<S>, producer: &Producer) -> Reconciliation {
    conformance::compared::<Invoices, S>(app, producer).await
}
