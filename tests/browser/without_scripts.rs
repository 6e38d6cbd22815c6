//! The same with scripts turned off: each step is a whole page, and nothing is missing.

use crate::clerk::{fill_in_customer, fill_in_line};
use crate::page::Look;
use crate::shop::Shop;
use crate::story::tell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_and_followed_without_scripts() {
    let shop = Shop::open().await;
    tell(Look::PHONE, async |page| {
        page.turn_scripts_off().await;
        page.open(&shop.url("order/form.html")).await;
        fill_in_customer(page).await;
        fill_in_line(page, 0, "iPod,", "3").await;
        page.press("Add line").await;
        fill_in_line(page, 1, "Apple TV", "2").await;
        page.press("Update total").await;
        page.sees("#total", "326.00").await;
        assert_eq!(page.value("orderLine-0-count").await, "3");
        page.press("Remove line 1").await;
        page.sees("#total", "200.00").await;
        assert_eq!(page.value("orderLine-0-count").await, "2");
        assert_eq!(page.value("shippingAddress-city").await, "Berlin");
        assert!(!page.shows("#orderLine-1-count").await);

        let held = [shop.hold("invoice").await, shop.hold("shipping").await];
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
        page.sees("main", "200.00").await;
        assert!(page.shows("#invoice a").await && page.shows("#shipment a").await);
        for held in held {
            held.release().await;
        }
        shop.delivered(1).await;
        page.session.reload().await.unwrap();
        page.find("#invoice a").await.click().await.unwrap();
        page.arrives("/invoice/1").await;
        page.sees("main", "200.00").await;
        assert!(
            !page.shows("button.print").await,
            "it does nothing without scripts"
        );
        page.open(&shop.url("shipping/1")).await;
        page.press("Mark as dispatched").await;
        page.sees(".status", "Dispatched").await;
        page.open(&shop.url("order/order/1")).await;
        page.press("Cancel this order").await;
        page.press("Cancel order 1").await;
        page.sees("main", "Cancelled").await;
        shop.has("invoice/1", "status", "credited".into()).await;
        page.open(&shop.url("invoice/1")).await;
        page.sees("main", "nothing to pay").await;
    })
    .await;
}
