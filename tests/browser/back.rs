//! Going back to the order form in a browser that has kept no copy of it: what was filled in is there again.

use serde_json::json;

use crate::clerk::{fill_in_customer, fill_in_line};
use crate::page::{Look, Page};
use crate::shop::{Shop, order};
use crate::story::{tell, tell_without_copies};

async fn fill_in(shop: &Shop, page: &Page) {
    page.open(&shop.url("order/form.html")).await;
    page.mark().await;
    fill_in_customer(page).await;
    fill_in_line(page, 0, "iPod,", "30").await;
    page.press("Add line").await;
    fill_in_line(page, 1, "Apple TV", "2").await;
}

/// Fails unless the form is there as it was filled in, in another document.
async fn is_filled_in(page: &Page) {
    assert!(!page.is_the_same().await, "the browser has kept a copy");
    page.find("#orderLine-1-count").await;
    for (field, value) in [
        ("orderLine-0-count", "30"),
        ("orderLine-1-count", "2"),
        ("shippingAddress-city", "Berlin"),
        ("customer", "2 Rod Johnson"),
        ("orderLine-1-item", "4 Apple TV, 100.00 EUR"),
    ] {
        assert_eq!(page.value(field).await, value, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_filled_in_is_there_after_going_back() {
    let shop = Shop::open().await;
    tell_without_copies(Look::DESKTOP, async |page| {
        page.foresee("status of 409");
        fill_in(&shop, page).await;
        page.sees("#total", "1,460.00").await;
        page.open(&shop.url("order/")).await;
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
        page.sees("main", "1,460.00").await;

        // The same form once more: the same order, and with a change a question.
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        page.sees("#total", "1,460.00").await;
        page.press("Remove line 2").await;
        page.sees("#total", "1,260.00").await;
        page.press("Place order").await;
        page.sees("[role=alert]", "order 1").await;
        assert_eq!(shop.orders().await, json!(1));
    })
    .await;
}

/// Loading the page again is the same, and another form is blank.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_filled_in_is_there_after_loading_the_page_again() {
    let shop = Shop::open().await;
    tell_without_copies(Look::DESKTOP, async |page| {
        fill_in(&shop, page).await;
        page.session.reload().await.unwrap();
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;
        page.press("New order").await;
        page.sees("#total", "€0.00").await;
        assert_eq!(page.value("orderLine-0-count").await, "1");
        assert!(!page.shows("#orderLine-1-count").await);
    })
    .await;
}

/// The form that the server has refused and shown again is one more page of the history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_filled_in_is_there_after_a_refusal() {
    let shop = Shop::open().await;
    tell_without_copies(Look::DESKTOP, async |page| {
        page.foresee("status of 422");
        page.foresee("status of 409");
        fill_in(&shop, page).await;
        page.fill("orderLine-0-count", "0").await;
        page.press("Place order").await;
        page.sees("[role=alert]", "not placed yet").await;
        page.fill("orderLine-0-count", "30").await;
        page.sees("#total", "1,460.00").await;
        page.session.reload().await.unwrap();
        page.arrives("/order/form.html").await;
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;

        // As it was shown, with nothing typed since.
        page.fill("orderLine-0-count", "many").await;
        page.press("Place order").await;
        page.sees("[role=alert]", "not placed yet").await;
        page.open(&shop.url("order/customers")).await;
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        page.find("#orderLine-1-count").await;
        assert_eq!(page.value("orderLine-0-count").await, "many");
        page.fill("orderLine-0-count", "30").await;
        page.press("Place order").await;
        page.arrives("/order/order/1").await;

        // The question whether a second order is wanted.
        page.session.back().await.unwrap();
        page.arrives("/order/form.html").await;
        page.sees("#total", "1,460.00").await;
        page.fill("orderLine-1-count", "1").await;
        page.press("Place order").await;
        page.sees("[role=alert]", "order 1").await;
        page.fill("orderLine-1-count", "2").await;
        page.session.reload().await.unwrap();
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;
        page.press("Place order").await;
        page.arrives("/order/order/2").await;
        assert_eq!(shop.orders().await, json!(2));
    })
    .await;
}

/// The server has not answered the script, so the button has loaded a whole page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_filled_in_is_there_after_a_line_without_the_script() {
    let shop = Shop::open().await;
    tell_without_copies(Look::DESKTOP, async |page| {
        fill_in(&shop, page).await;
        page.run("window.fetch = async () => { throw new Error('no network'); }")
            .await;
        page.press("Add line").await;
        page.find("#orderLine-2-count").await;
        assert!(!page.is_the_same().await, "the script was answered");
        page.session.reload().await.unwrap();
        page.arrives("/order/form.html").await;
        page.find("#orderLine-2-count").await;
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;
    })
    .await;
}

/// Neither a copy of the page nor a stored answer asks again what was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_is_not_asked_again() {
    let shop = Shop::open().await;
    let story = async |page: &Page| {
        let id = shop.place(&order("Main Street 1")).await;
        let (path, button) = (format!("/order/order/{id}"), format!("Cancel order {id}"));
        page.open(&shop.url(&path[1..])).await;
        page.press("Cancel this order").await;
        page.press(&button).await;
        page.arrives(&path).await;
        page.sees("main", "Cancelled").await;
        page.session.back().await.unwrap();
        page.arrives(&format!("{path}/cancel")).await;
        page.sees("main", "is cancelled already").await;
        assert!(!page.shows("main button").await);
    };
    tell(Look::DESKTOP, &story).await;
    tell_without_copies(Look::DESKTOP, &story).await;
}

/// The server does not answer when the page asks it for the lines: a form that lacks them cannot be sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_cannot_be_filled_in_again_cannot_be_sent() {
    let shop = Shop::open().await;
    tell_without_copies(Look::DESKTOP, async |page| {
        page.foresee("ERR_BLOCKED_BY_CLIENT");
        fill_in(&shop, page).await;
        page.devtools("Network.enable", json!({})).await;
        let lines = |urls: &[&str]| json!({"urls": urls});
        page.devtools("Network.setBlockedURLs", lines(&["*/order/line*"]))
            .await;
        page.session.reload().await.unwrap();
        page.sees("#order", "load this page again").await;
        assert!(!page.shows("#order button").await);
        page.devtools("Network.setBlockedURLs", lines(&[])).await;
        page.session.reload().await.unwrap();
        page.sees("#total", "1,460.00").await;
        is_filled_in(page).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_without_scripts() {
    let shop = Shop::open().await;
    tell_without_copies(Look::DESKTOP, async |page| {
        page.turn_scripts_off().await;
        fill_in(&shop, page).await;
        page.press("Update total").await;
        page.sees("#total", "1460.00").await;
        page.fill("orderLine-1-count", "3").await;
        page.open(&shop.url("order/")).await;
        page.session.back().await.unwrap();
        page.find("#orderLine-1-count").await;
        assert_eq!(page.value("orderLine-0-count").await, "30");
        assert_eq!(page.value("orderLine-1-count").await, "3");
        assert_eq!(
            page.value("orderLine-1-item").await,
            "4 Apple TV, 100.00 EUR"
        );
    })
    .await;
}
