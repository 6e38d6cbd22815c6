//! The start page: links to the pages of the services.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use feed_chassis::html::{Frame, stylesheet};
use feed_chassis::routing::get;
use feed_core::http::BaseUrl;
use maud::{Markup, html};

/// The frame of the page, and of the page about addresses that do not exist.
pub(crate) fn frame(base: &BaseUrl) -> Frame<'static> {
    Frame {
        base: base.clone(),
        home: None,
        home_name: "",
        service: "Shop",
        menu: &[
            ("order/", "Orders"),
            ("invoice/", "Invoices"),
            ("shipping/", "Shipments"),
        ],
        feed: Some("order/feed"),
    }
}

pub(crate) fn router(frame: Frame<'static>) -> Router {
    let page = move || {
        let page = page(&frame);
        async move { answer(page) }
    };
    Router::new().route("/", get(page)).merge(stylesheet())
}

fn answer(page: Markup) -> Response {
    ([(header::CACHE_CONTROL, "max-age=60")], page).into_response()
}

fn page(frame: &Frame<'_>) -> Markup {
    let base = &frame.base;
    let link = |path: &str, text: &str| html! { a href=(base.path(path)) { (text) } };
    frame.page(
        "Welcome",
        &html! {
            p {
                "An order becomes an invoice and a shipment without a broker: the order service "
                "publishes its events as an Atom feed, and the two others read it."
            }
            p.actions { a.button href=(base.path("order/form.html")) { "Place an order" } }
            div.columns {
                section {
                    h2 { "Orders" }
                    p { "All " (link("order/", "orders")) ", newest first, and the "
                        (link("order/feed", "feed")) " of what happened to them." }
                }
                section {
                    h2 { "Invoices" }
                    p { "All " (link("invoice/", "invoices")) ", and "
                        (link("invoice/status", "how far")) " they have followed the feed." }
                }
                section {
                    h2 { "Shipments" }
                    p { "All " (link("shipping/", "shipments")) ", and "
                        (link("shipping/status", "how far")) " they have followed the feed." }
                }
            }
        },
    )
}
