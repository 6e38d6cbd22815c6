//! The clerk's day: an order from the start page to its credit note.

use serde_json::json;

use crate::page::{Look, Page};
use crate::picture::pages;
use crate::shop::{self, Shop};
use crate::story::tell;

/// The fields of a form with one line, in their order.
pub(crate) const FIELDS: [&str; 9] = [
    "customer",
    "shippingAddress-street",
    "shippingAddress-zip",
    "shippingAddress-city",
    "billingAddress-street",
    "billingAddress-zip",
    "billingAddress-city",
    "orderLine-0-item",
    "orderLine-0-count",
];

/// Fills in the customer and the addresses.
pub(crate) async fn fill_in_customer(page: &Page) {
    page.choose("customer", "Rod Johnson").await;
    for kind in ["shippingAddress", "billingAddress"] {
        for (field, text) in [
            ("street", "Main Street 1"),
            ("zip", "10115"),
            ("city", "Berlin"),
        ] {
            page.fill(&format!("{kind}-{field}"), text).await;
        }
    }
}

/// Fills in a line, whose number counts from 0.
pub(crate) async fn fill_in_line(page: &Page, line: usize, item: &str, count: &str) {
    page.choose(&format!("orderLine-{line}-item"), item).await;
    page.fill(&format!("orderLine-{line}-count"), count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_from_the_start_page_to_its_credit_note() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        order(&shop, page).await;
        invoice(page).await;
        shipment(page).await;
        cancellation(&shop, page).await;
    })
    .await;
}

/// A total with more digits than a double holds, and counts that the server refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_totals_are_exact() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        let prices = "UPDATE items SET price_cents = CASE id WHEN 1 THEN 100000000 ELSE 1 END";
        shop.execute("order", prices).await;
        let mut large = shop::order("Main Street 1");
        let mut lines = vec![json!({"item": 1, "count": 1_000_000}); 999];
        lines.push(json!({"item": 2, "count": 1}));
        large["orderLine"] = json!(lines);
        let id = shop.place(&large).await;
        shop.delivered(id).await;
        page.open(&shop.url(&format!("order/order/{id}"))).await;
        page.sees("#invoice", "999,000,000,000,000.01").await;

        page.open(&shop.url("order/form.html")).await;
        for (count, total) in [
            ("1000000", "1,000,000,000,000.00"),
            ("1000001", "0.00"),
            (" +0000000002 ", "2,000,000.00"),
            ("9999999", "0.00"),
            ("-1", "0.00"),
        ] {
            fill_in_line(page, 0, "iPod,", count).await;
            page.sees("#total", &format!("€{total}")).await;
        }
    })
    .await;
}

/// The form adds up and grows without a reload, and so does the page of the order.
async fn order(shop: &Shop, page: &Page) {
    page.open(&shop.url("")).await;
    page.press("Place an order").await;
    page.arrives("/order/form.html").await;
    page.mark().await;
    fill_in_customer(page).await;
    fill_in_line(page, 0, "iPod,", "3").await;
    page.sees("#total", "126.00").await;
    page.press("Add line").await;
    fill_in_line(page, 1, "Apple TV", "2").await;
    page.sees("#total", "326.00").await;
    page.press("Add line").await;
    page.find("#orderLine-2-item").await;
    page.press("Remove line 1").await;
    page.sees("#total", "200.00").await;
    fill_in_line(page, 1, "iPod nano", "126").await;
    page.sees("#total", "326.00").await;
    assert!(page.is_the_same().await, "the form was loaded again");

    let held = [shop.hold("invoice").await, shop.hold("shipping").await];
    page.press("Place order").await;
    page.arrives("/order/order/1").await;
    page.mark().await;
    for section in ["#invoice", "#shipment"] {
        page.sees(section, "on its way").await;
    }
    for held in held {
        held.release().await;
    }
    page.sees("#invoice", "326.00").await;
    page.sees("#shipment", "Pending").await;
    for section in ["#invoice", "#shipment"] {
        assert!(!page.text(section).await.contains("on its way"));
    }
    assert!(page.is_the_same().await, "the order was loaded again");
}

async fn invoice(page: &Page) {
    page.find("#invoice a").await.click().await.unwrap();
    page.arrives("/invoice/1").await;
    for text in ["Rod Johnson", "Main Street 1", "Apple TV", "326.00"] {
        page.sees("main", text).await;
    }
    page.control("Print").await;
    let pdf = page.pdf().await;
    assert!(pdf.starts_with(b"%PDF"), "no PDF");
    assert_eq!(pages(&pdf), 1, "an invoice of two lines fits on a page");
    page.session.back().await.unwrap();
    page.arrives("/order/order/1").await;
}

async fn shipment(page: &Page) {
    page.find("#shipment a").await.click().await.unwrap();
    page.arrives("/shipping/1").await;
    page.sees("main", "Apple TV").await;
    page.press("Mark as dispatched").await;
    page.sees(".status", "Dispatched").await;
}

async fn cancellation(shop: &Shop, page: &Page) {
    page.open(&shop.url("order/order/1")).await;
    page.sees("#shipment", "Dispatched").await;
    page.press("Cancel this order").await;
    page.press("Cancel order 1").await;
    page.sees("main", "Cancelled").await;
    page.sees("#history", "cancelled").await;
    page.sees("#invoice", "Credited").await;
    page.sees("#shipment", "Recalled").await;
    page.find("#invoice a").await.click().await.unwrap();
    page.arrives("/invoice/1").await;
    page.sees("main", "nothing to pay").await;
    page.open(&shop.url("invoice/1/credit-note")).await;
    page.sees("h1", "Credit note").await;
    page.sees("main", "326.00").await;
    page.open(&shop.url("shipping/1")).await;
    page.sees("main", "Call it back").await;
}
