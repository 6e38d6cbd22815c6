//! What the suite must know about the service under test.

use feed_console::service::ServiceOn;
use feed_core::Backend;
use harness::producer::Line;
use serde_json::Value;
use sqlx::{Postgres, Sqlite};

/// A service that keeps one record for each order, and how a test sees the records.
pub trait Subject<S: Backend> {
    /// The service.
    type Service: ServiceOn<S> + ServiceOn<Sqlite> + ServiceOn<Postgres>;

    /// A record, as texts name it: `an invoice`.
    const ONE: &'static str;
    /// The list of records, in texts and in documents: `invoices`.
    const MANY: &'static str;

    /// The document of order 17, with [`LINES`](harness::producer::LINES), if it is the first order.
    const DOCUMENT: &'static str;
    /// The document of order 7 of the original, if it is the first order.
    const ORIGINAL: &'static str;
    /// The members that no two documents have in common.
    const OF_ONE: &'static [&'static str];
    /// The members with the id of an event, which is another one each time.
    const OF_EVENT: &'static [&'static str] = &[];
    /// The member with the address of the record.
    const ADDRESS: &'static str;
    /// The status of the record of an order that was placed.
    const PLACED: &'static str;
    /// The status when the order was cancelled.
    const CANCELLED: &'static str;

    /// The pages with the customer's name of order 1, if it was cancelled.
    const NAMED: &'static [&'static str];
    /// Routes that are not in the description.
    const APART: &'static [&'static str];

    /// The table, by `order_id`.
    const TABLE: &'static str;
    /// The table of its lines.
    const LINES_TABLE: &'static str;
    /// The columns by which a test compares rows.
    const COLUMNS: &'static [&'static str];
    /// The column that is NULL unless the order was cancelled.
    const CANCELLED_AT: &'static str;
    /// The column that says when the order was placed.
    const PLACED_AT: &'static str;
    /// A statement after which each record differs from its events.
    const SPOILED: &'static str;

    /// A text in an order, and another one that makes it invalid here; and the reason for that.
    const NO_ORDER: (&'static str, &'static str, &'static str);
    /// A second line that makes an order invalid here; and the reason for that.
    const NO_LINE: (Line<'static>, &'static str);

    /// Checks what only this service's documents have. They are all documents, in the order in which they were made,
    /// of orders that were placed in `year`.
    fn check(_documents: &[Value], _year: i32) {}
}
