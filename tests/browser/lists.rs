//! The clerk finds what the question is about: cancelled orders, a customer's orders, the invoice with a number.

use serde_json::json;

use crate::page::{Look, Page};
use crate::shop::{Shop, order};
use crate::story::tell;

/// Four orders of customers 1 and 2 in turn; the second and the third are cancelled.
async fn four_orders(shop: &Shop) {
    for number in 1..=4 {
        let mut order = order("Main Street 1");
        order["customer"] = json!(2 - number % 2);
        shop.place(&order).await;
    }
    for number in [2, 3] {
        let path = format!("order/order/{number}/cancel");
        assert_eq!(shop.client.post_form(&path, &[]).await.status, 303);
        shop.delivered(number).await;
        let path = format!("invoice/{number}");
        shop.has(&path, "status", json!("credited")).await;
    }
    shop.delivered(4).await;
}

/// With a script and without, the same form does it.
async fn finds_them(shop: &Shop, page: &Page) {
    page.open(&shop.url("order/")).await;
    assert!(!page.shows("#status").await, "the filter is folded");
    page.press("Filter").await;
    page.choose("status", "Cancelled").await;
    page.press("Search").await;
    page.sees("main", "2 orders found").await;
    page.sees("tbody", "Order 3").await;
    assert!(!page.text("tbody").await.contains("Order 4"));
    // It stays open with what was chosen.
    page.fill("customer", "1").await;
    page.press("Search").await;
    page.sees("main", "1 order found").await;
    assert_eq!(page.value("status").await, "cancelled");

    page.open(&shop.url("order/customers/2")).await;
    page.press("Orders of this customer").await;
    page.sees("main", "2 orders found").await;
    page.sees("tbody", "Order 2").await;
    page.fill("q", "nobody").await;
    page.press("Search").await;
    page.sees("main", "No orders match all of this.").await;
    page.press("Show all orders").await;
    page.sees("main", "4 orders in all").await;

    page.open(&shop.url("invoice/")).await;
    page.fill("q", "JOHNSON").await;
    page.press("Filter").await;
    page.choose("status", "Credited").await;
    page.press("Search").await;
    page.sees("main", "1 invoice found").await;
    page.open(&shop.url("shipping/")).await;
    page.fill("q", "3").await;
    page.press("Search").await;
    page.sees("main", "1 shipment found").await;
    page.sees("tbody", "Order 3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clerk_finds_cancelled_orders_and_those_of_a_customer() {
    let shop = Shop::open().await;
    four_orders(&shop).await;
    tell(Look::DESKTOP, async |page| finds_them(&shop, page).await).await;
    tell(Look::PHONE, async |page| {
        page.turn_scripts_off().await;
        finds_them(&shop, page).await;
    })
    .await;
}

/// A question is asked first, and the answer may be no.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_can_be_kept() {
    let shop = Shop::open().await;
    shop.place(&order("Main Street 1")).await;
    tell(Look::PHONE, async |page| {
        page.open(&shop.url("order/order/1")).await;
        page.press("Cancel this order").await;
        page.arrives("/order/order/1/cancel").await;
        page.sees("main", "This cannot be undone.").await;
        page.press("Keep it").await;
        page.arrives("/order/order/1").await;
        page.sees(".status", "Placed").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_and_times_are_in_the_readers_locale() {
    let shop = Shop::open().await;
    shop.place(&order("Main Street 1")).await;
    shop.delivered(1).await;
    tell(Look::DESKTOP, async |page| {
        let german = json!({"locale": "de-DE"});
        page.devtools("Emulation.setLocaleOverride", german).await;
        let zone = json!({"timezoneId": "Asia/Tokyo"});
        page.devtools("Emulation.setTimezoneOverride", zone).await;
        for path in ["order/", "order/order/1", "invoice/", "invoice/1"] {
            page.open(&shop.url(path)).await;
            page.sees("main", "184,00 €").await;
        }
        page.open(&shop.url("order/order/1")).await;
        page.sees("#invoice", "184,00 €").await;
        // The instant in the reader's time zone, and that of the server as the title.
        let shown = "const time = document.querySelector('dl time');
            const format = new Intl.DateTimeFormat('de-DE',
                {dateStyle: 'medium', timeStyle: 'short', timeZone: 'Asia/Tokyo'});
            return time.textContent === format.format(new Date(time.dateTime))
                && time.title.endsWith(' UTC');";
        assert_eq!(page.run(shown).await, true);
        // The date of an invoice is a day in UTC wherever it is read.
        page.open(&shop.url("invoice/1")).await;
        let shown = "const time = document.querySelector('dl time');
            const format = new Intl.DateTimeFormat('de-DE', {dateStyle: 'medium', timeZone: 'UTC'});
            return time.textContent === format.format(new Date(time.dateTime))
                && time.title === time.dateTime.slice(0, 10);";
        assert_eq!(page.run(shown).await, true);
        page.turn_scripts_off().await;
        page.open(&shop.url("invoice/1")).await;
        page.sees("main", "184.00 EUR").await;
    })
    .await;
}
