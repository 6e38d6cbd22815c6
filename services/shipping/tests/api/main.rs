//! The shipping service as its users see it, on both databases: it follows a real feed over HTTP,
//! or one as the original writes it, and is asked over its routes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod app;
mod dispatch;
mod erased;
mod events;
mod pages;
mod parked;
mod privacy;
mod reconcile;

/// What every service keeps to that makes something of orders.
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
