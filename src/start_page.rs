//! The start page: the picture of the README with its numbers. Without the script it shows them as of
//! the request; with it, they move as orders come.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use feed_chassis::grouped;
use feed_chassis::html::{Frame, instant, script, stylesheet};
use feed_chassis::routing::get;
use feed_console::subscription::concern::Kind;
use feed_core::http::BaseUrl;
use maud::{Markup, html};

use crate::services::{Followed, Now, Services};

/// The path that needs no credentials: the script.
pub(crate) const OPEN: &[&str] = &["/start.js"];

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

pub(crate) fn router(frame: Frame<'static>, services: Services) -> Router {
    let page = move || {
        let (frame, services) = (frame.clone(), services.clone());
        async move { answer(page(&frame, &services.now().await)) }
    };
    Router::new()
        .route("/", get(page))
        .merge(script("/start.js", include_str!("../deploy/start.js")))
        .merge(stylesheet())
}

fn answer(page: Markup) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], page).into_response()
}

fn page(frame: &Frame<'_>, now: &Now) -> Markup {
    let base = &frame.base;
    let published = now.order.as_ref().map(|order| order.sequence);
    let picture = html! {
        p {
            "An order becomes an invoice and a shipment without a broker: the order service "
            "publishes its events as an Atom feed, and the two others read it."
        }
        p.actions { a.button href=(base.path("order/form.html")) { "Place an order" } }
        div #picture.picture data-feed=(base.path("order/feed")) {
            section #order.box data-status=(base.path("order/feed/status")) {
                h2 { "Orders" }
                p.count { "Newest event " strong { (known(published)) } }
                p.state {
                    @match &now.order {
                        None => span.status.bad { "Does not answer" },
                        Some(order) if order.quarantined > 0 => {
                            span.status.bad { (grouped(order.quarantined)) " in quarantine" }
                        }
                        Some(_) => span.status.good { "Open" },
                    }
                }
                p.quiet { "One transaction has the order and its event. The event then gets its number: 1, 2, 3 …" }
                p { a href=(base.path("order/")) { "All orders" } }
            }
            div.wire {
                p { a href=(base.path("order/feed")) { "The feed" } }
                div.line aria-hidden="true" { i {} i {} i {} }
                p.quiet { "new entries, or 304" }
            }
            div.boxes {
                (consumer(base, &INVOICES, now.invoice.as_ref(), published))
                (consumer(base, &SHIPMENTS, now.shipping.as_ref(), published))
            }
        }
        p.quiet { span #asof { "As of " (instant(Utc::now())) "." } " " span #stale role="status" {} }
    };
    frame.page_with_script("Welcome", &picture, "start.js")
}

/// Formats a sequence, if the service answers.
fn known(sequence: Option<i64>) -> String {
    sequence.map_or_else(|| "\u{2013}".to_owned(), grouped)
}

/// A consumer of the feed in the picture.
struct Consumer {
    name: &'static str,
    title: &'static str,
    effect: &'static str,
    all: &'static str,
}

const INVOICES: Consumer = Consumer {
    name: "invoice",
    title: "Invoices",
    effect: "the invoice",
    all: "All invoices",
};

const SHIPMENTS: Consumer = Consumer {
    name: "shipping",
    title: "Shipments",
    effect: "the shipment",
    all: "All shipments",
};

fn consumer(
    base: &BaseUrl,
    consumer: &Consumer,
    followed: Option<&Followed>,
    published: Option<i64>,
) -> Markup {
    let Consumer {
        name,
        title,
        effect,
        all,
    } = consumer;
    let path = |path: &str| base.path(&format!("{name}/{path}"));
    let taken = followed.map(|followed| followed.sequence);
    let head = followed.map(|followed| followed.head.max(published.unwrap_or(0)));
    let label = format!("{name}-title");
    html! {
        section.box #(name) data-status=(path("status")) {
            h2 #(label) { (title) }
            p.count { "Taken up to " strong { (known(taken)) } }
            progress aria-labelledby=(label) max=(head.unwrap_or(0).max(1))
                value=(taken.unwrap_or(0).min(head.unwrap_or(0))) {}
            p.state {
                @for (class, text) in state(followed, head.unwrap_or(0)) {
                    span.status.(class) { (text) } " "
                }
            }
            p.quiet { "One transaction has the claim, " (effect) " and the cursor." }
            p { a href=(path("")) { (all) } ", and " a href=(path("status")) { "the status" } }
        }
    }
}

/// Names the state of a consumer, as `start.js` does: what an operator has to decide comes first.
fn state(followed: Option<&Followed>, head: i64) -> Vec<(&'static str, String)> {
    let Some(followed) = followed else {
        return vec![("bad", "Does not answer".to_owned())];
    };
    let mut state = Vec::new();
    if followed.halted.is_some() {
        state.push(("bad", "Halted".to_owned()));
    }
    if followed.paused.is_some() {
        state.push(("bad", "Paused".to_owned()));
    }
    if followed.parked > 0 {
        state.push(("bad", format!("{} parked", grouped(followed.parked))));
    }
    let said = [Kind::Halted, Kind::Paused, Kind::Parked];
    let others = followed.concerns.iter();
    let others: Vec<_> = others.filter(|one| !said.contains(&one.kind)).collect();
    state.extend(others.iter().map(|one| ("bad", one.title())));
    // The cursor of a halted one may be no position in this feed.
    if followed.halted.is_none() {
        match head - followed.sequence {
            behind @ 1.. => state.push(("plain", format!("{} behind", grouped(behind)))),
            _ if others.is_empty() => state.push(("good", "All taken".to_owned())),
            _ => {}
        }
    }
    state
}
