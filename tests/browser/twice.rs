//! A double click, or sending again after going back, places one order.

use serde_json::json;

use crate::clerk::{fill_in_customer, fill_in_line};
use crate::page::{Look, Page};
use crate::shop::Shop;
use crate::story::tell;

async fn fill_in(shop: &Shop, page: &Page) {
    page.open(&shop.url("order/form.html")).await;
    fill_in_customer(page).await;
    fill_in_line(page, 0, "iPod,", "3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_click_places_one_order() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        fill_in(&shop, page).await;
        page.press_twice("Place order").await;
        page.arrives("/order/order/1").await;
        assert_eq!(shop.orders().await, json!(1));
        // Another form is another order, also one with the same in it.
        fill_in(&shop, page).await;
        page.run(
            "const form = document.querySelector('#customer').form; \
                  form.submit(); form.submit()",
        )
        .await;
        page.arrives("/order/order/2").await;
        assert_eq!(shop.orders().await, json!(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_and_sending_again_places_one_order() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.foresee("status of 409");
        fill_in(&shop, page).await;
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        assert_eq!(page.value("orderLine-0-count").await, "3");
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
        assert_eq!(shop.orders().await, json!(1));
        // With other content, it may be intended: the page asks, and then places it.
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        page.fill("orderLine-0-count", "4").await;
        page.press("Place order").await;
        page.sees("[role=alert]", "order 1").await;
        assert_eq!(page.value("orderLine-0-count").await, "4");
        assert_eq!(shop.orders().await, json!(1));
        page.press("Place order").await;
        page.arrives("/order/order/2").await;
        page.sees("main", "168.00").await;
    })
    .await;
}
