//! The keyboard alone: nothing needs a mouse, and the focus follows what happens.

use crate::clerk::FIELDS;
use crate::page::Look;
use crate::shop::Shop;
use crate::story::tell;
use crate::webdriver::{ALT, ENTER, TAB};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_by_the_keyboard() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("order/form.html")).await;
        // The first stop leads past the menu.
        page.key(TAB).await;
        assert_eq!(page.focus().await, "Skip to content");
        assert!(page.shows("a.skip").await);
        page.key(ENTER).await;
        page.key(TAB).await;
        assert_eq!(page.focus().await, "customer", "past the menu");
        // In a closed list, letters choose.
        page.keys("Rod").await;
        for (at, id) in FIELDS.iter().enumerate().skip(1) {
            page.key(TAB).await;
            // Between the addresses and the lines there may be more to choose.
            if page.focus().await != *id {
                page.tab_to(id).await;
            }
            let text = match *id {
                "orderLine-0-item" => "Apple",
                "orderLine-0-count" => "",
                _ if at % 3 == 2 => "10115",
                _ => "Berlin",
            };
            page.keys(text).await;
        }
        page.sees("#total", "100.00").await;
        page.tab_to("Add line").await;
        page.key(' ').await;
        page.find("#orderLine-1-item").await;
        assert_eq!(page.focus().await, "orderLine-1-item", "the next field");
        page.keys("iPod nano").await;
        page.sees("#total", "101.00").await;
        // Enter in a field sends the form.
        page.key(TAB).await;
        page.key(ENTER).await;
        page.arrives("/order/order/1").await;
        page.sees("main", "101.00").await;
        page.tab_to("Cancel this order").await;
        page.key(ENTER).await;
        page.arrives("/order/order/1/cancel").await;
        page.tab_to("Cancel order 1").await;
        page.key(ENTER).await;
        page.sees("main", "Cancelled").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_that_a_page_names_do_what_it_says() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("order/")).await;
        page.sees(".keys", "Alt+S search").await;
        page.chord(ALT, 's').await;
        assert_eq!(page.focus().await, "q");
        page.sees(".keys", "Alt+N a new order").await;
        page.chord(ALT, 'n').await;
        page.arrives("/order/form.html").await;
        page.sees(".keys", "Alt+L adds a line").await;
        page.chord(ALT, 'l').await;
        page.find("#orderLine-1-item").await;
        for path in ["invoice/", "shipping/"] {
            page.open(&shop.url(path)).await;
            page.sees(".keys", "Alt+S search").await;
            page.chord(ALT, 's').await;
            assert_eq!(page.focus().await, "q", "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_a_line_keeps_the_focus_in_the_form() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("order/form.html")).await;
        page.press("Add line").await;
        page.find("#orderLine-1-item").await;
        page.tab_to("Remove line 2").await;
        page.key(ENTER).await;
        let inside = "return document.activeElement.closest('form') !== null";
        assert_eq!(page.run(inside).await, true, "on {:?}", page.focus().await);
    })
    .await;
}
