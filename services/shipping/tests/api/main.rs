//! The shipping service as its clients see it, on both databases. It follows a feed over HTTP, of feed-core or in the
//! format of the original, and answers requests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod app;
mod dispatch;
mod erased;
mod events;
mod pages;
mod parked;
mod privacy;
mod reconcile;

/// The tests of every service that keeps one record for each order.
mod conformance {
    ::conformance::conforms!(crate::app::Shipments);
}

#[test]
fn it_has_the_documented_defaults() {
    use feed_console::service::Service;

    let [listen, _, _, feed] = shipping::ShippingService::DEFAULTS else {
        panic!("others than are documented");
    };
    assert_eq!(*listen, ("listen", "127.0.0.1:8083"));
    assert_eq!(*feed, ("feed_url", "http://127.0.0.1:8081/feed"));
}
