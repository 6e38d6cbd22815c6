//! Every page in every look: without accessibility barriers, with nothing cut off and no sideways
//! scrolling, and a picture of it (`tests/screenshots`).

use serde_json::{Value, json};

use crate::axe;
use crate::page::{Look, Page};
use crate::picture::{keep, pages};
use crate::shop::{Shop, order};
use crate::story::tell;

/// A page in one of its states.
struct View {
    name: &'static str,
    path: &'static str,
    /// What is pressed there, each with its result.
    press: &'static [(&'static str, &'static str)],
    /// What is seen in the end: the element, and its text.
    sees: (&'static str, &'static str),
}

const fn view(name: &'static str, path: &'static str, text: &'static str) -> View {
    View {
        name,
        path,
        press: &[],
        sees: ("main", text),
    }
}

/// Nothing has happened yet.
const EMPTY: &[View] = &[
    view("start-page", "", "Place an order"),
    view("order-list.empty", "order/", "no orders yet"),
    view("invoice-list.empty", "invoice/", "no invoices yet"),
    view("shipment-list.empty", "shipping/", "no shipments yet"),
    view("feed-page.empty", "order/feed", "Nothing has happened yet"),
    view("order-form.blank", "order/form.html", "Place order"),
];

/// There are orders in each state.
const FILLED: &[View] = &[
    view("start-page.filled", "", "All taken"),
    view("order-list.filled", "order/", "Order 8"),
    view("order-list.search", "order/?q=Wolff", "4 orders found"),
    view("order-list.not-found", "order/?q=nobody", "nobody"),
    view(
        "order-list.filter",
        "order/?status=cancelled&customer=1",
        "1 order found",
    ),
    view(
        "order-list.no-match",
        "order/?status=cancelled&customer=9",
        "Select less",
    ),
    view("order-cancel", "order/order/1/cancel", "cannot be undone"),
    View {
        press: &[
            ("Add line", "#orderLine-1-item"),
            ("Add line", "#orderLine-2-item"),
        ],
        ..view("order-form.lines", "order/form.html", "Place order")
    },
    View {
        press: &[("Place order", "[role=alert]")],
        ..view("order-form.errors", "order/form.html", "Choose a customer.")
    },
    View {
        sees: ("#shipment", "Pending"),
        ..view("order-page.complete", "order/order/1", "")
    },
    View {
        sees: ("#shipment", "Stopped"),
        ..view("order-page.cancelled", "order/order/2", "")
    },
    view("customer-list", "order/customers", "Wolff"),
    view("customer-new", "order/customers/new", "Add customer"),
    view("customer-edit", "order/customers/1", "Save"),
    view("item-list", "order/items", "iPod"),
    view("item-new", "order/items/new", "Add item"),
    view("item-edit", "order/items/1", "Save"),
    view("error-page", "order/order/999", "999"),
    view("invoice-list", "invoice/", "Credited"),
    view("invoice-list.filter", "invoice/?status=credited", "found"),
    view("invoice", "invoice/1", "Main Street 1"),
    view("invoice.credited", "invoice/2", "nothing to pay"),
    view("credit-note", "invoice/2/credit-note", "184.00"),
    view("shipment-list", "shipping/", "Recalled"),
    view(
        "shipment-list.filter",
        "shipping/?q=wolff&from=2026-01-01",
        "found",
    ),
    view("shipment.pending", "shipping/1", "Pending"),
    view("shipment.stopped", "shipping/2", "Do not dispatch"),
    view("shipment.recalled", "shipping/3", "Call it back"),
    view("shipment.dispatched", "shipping/4", "Dispatched"),
    view("feed-page", "order/feed", "cancelled"),
    view(
        "feed-page.filtered",
        "order/feed?type=order.cancelled",
        "Only events of type",
    ),
    view(
        "feed-page.none",
        "order/feed?subject=order/999",
        "no such event",
    ),
    view("feed-error", "order/events/999", "no event 999"),
    view(
        "feed-error.query",
        "order/feed?after=9",
        "is a string from a feed",
    ),
    view("status.fine", "invoice/status", "Lag"),
    view("status-events", "invoice/status/events", "applied"),
    view("status-all", "invoice/status/all", "2 of 2 well"),
];

/// An invoice cannot be written.
const PARKED: &[View] = &[
    View {
        sees: ("#invoice", "on its way"),
        ..view("order-page.on-its-way", "order/order/9", "")
    },
    view("start-page.parked", "", "1 parked"),
    view("status.parked", "invoice/status", "1 event is parked"),
    view("status-all.parked", "shipping/status/all", "1 of 2 well"),
    view(
        "status-parked.selected",
        "invoice/status/parked?type=order.placed",
        "1 event selected",
    ),
];

/// An operator has paused the invoices.
const PAUSED: &[View] = &[
    view("start-page.paused", "", "Paused"),
    view("status.paused", "invoice/status", "Paused by eve"),
    view("status-instances", "invoice/status/instances", "16 of 16"),
];

/// The feed has become another one.
const HALTED: &[View] = &[
    view("start-page.halted", "", "Halted"),
    view("status.halted", "invoice/status", "Halted"),
    view(
        "status-all.away",
        "invoice/status/all?of=http://127.0.0.1:9/billing",
        "since",
    ),
];

const DESKTOP: [Look; 2] = [Look::DESKTOP, Look::DESKTOP_DARK];
const PHONE: [Look; 2] = [Look::PHONE, Look::PHONE_DARK];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_on_a_desktop() {
    in_every_state(DESKTOP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_on_a_phone() {
    in_every_state(PHONE).await;
}

async fn in_every_state(looks: [Look; 2]) {
    let mut shop = Shop::open().await;
    tell(looks[0], async |page| {
        for part in [
            "status of 400",
            "status of 404",
            "status of 422",
            // Nothing listens at port 9, and browsers know that port.
            "127.0.0.1:9/",
        ] {
            page.foresee(part);
        }
        walk(&shop, page, &looks, EMPTY).await;
        fill(&shop).await;
        walk(&shop, page, &looks, FILLED).await;

        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON invoice BEGIN \
                      SELECT RAISE(ABORT, 'the account is closed for the year'); END";
        shop.execute("invoice", refuse).await;
        shop.place(&order("Main Street 9")).await;
        shop.has("invoice/status", "parked", json!(1)).await;
        walk(&shop, page, &looks, PARKED).await;

        let pause = [("reason", "the printer moves"), ("by", "eve")];
        shop.client.post_form("invoice/status/pause", &pause).await;
        walk(&shop, page, &looks, PAUSED).await;
        let resume = [("by", "eve")];
        shop.client
            .post_form("invoice/status/resume", &resume)
            .await;

        shop.forget_the_orders().await;
        shop.place(&order("Main Street 1")).await;
        shop.has_not("invoice/status", "halted", Value::Null).await;
        walk(&shop, page, &looks, HALTED).await;
    })
    .await;
}

/// Eight orders: the second is cancelled, the third too, after it was dispatched like the fourth.
async fn fill(shop: &Shop) {
    for number in 1..=8 {
        let mut order = order(&format!("Main Street {number}"));
        order["customer"] = json!(2 - number % 2);
        shop.place(&order).await;
    }
    shop.delivered(8).await;
    for path in [
        "shipping/3/dispatch",
        "shipping/4/dispatch",
        "order/order/2/cancel",
        "order/order/3/cancel",
    ] {
        assert_eq!(shop.client.post_form(path, &[]).await.status, 303, "{path}");
    }
    for (path, status) in [
        ("invoice/3", "credited"),
        ("shipping/2", "stopped"),
        ("shipping/3", "recalled"),
    ] {
        shop.has(path, "status", json!(status)).await;
    }
}

async fn walk(shop: &Shop, page: &Page, looks: &[Look], views: &[View]) {
    for look in looks {
        page.look(*look).await;
        for view in views {
            let what = format!("{} ({})", view.name, look.name);
            page.open(&shop.url(view.path)).await;
            for (name, comes) in view.press {
                page.press(name).await;
                page.find(comes).await;
            }
            page.sees(view.sees.0, view.sees.1).await;
            keep(
                &format!("{}.{}.png", view.name, look.name),
                &page.picture().await,
            );
            axe::check(page, &what).await;
            assert_eq!(
                page.wider().await,
                json!([]),
                "{what} has to be scrolled sideways"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_on_paper_is_a_letter() {
    let shop = Shop::open().await;
    fill(&shop).await;
    tell(Look::DESKTOP_DARK, async |page| {
        for (name, path) in [
            ("invoice", "invoice/1"),
            ("credit-note", "invoice/2/credit-note"),
        ] {
            page.open(&shop.url(path)).await;
            page.control("Print").await;
            page.lay_on_paper().await;
            for css in ["header", "nav", "#print", ".skip"] {
                assert!(!page.shows(css).await, "{css} is on the {name}");
            }
            page.sees("main", "184.00").await;
            // Each part of the sender on its own line.
            page.sees(".letterhead", "Shop Ltd\nHarbour Road 9\n20457 Hamburg")
                .await;
            keep(&format!("{name}.print.png"), &page.picture().await);
            let pdf = page.pdf().await;
            assert_eq!(pages(&pdf), 1, "{name}");
            keep(&format!("{name}.print.pdf"), &pdf);
            page.look(Look::DESKTOP_DARK).await;
        }
    })
    .await;
}
