//! What is changed while a form is open: no price is charged that was not shown, and no change is undone
//! without a question. With scripts and without.

use serde_json::json;

use crate::axe;
use crate::clerk::{fill_in_customer, fill_in_line};
use crate::page::{Look, Page};
use crate::shop::Shop;
use crate::story::tell;

async fn set_price(shop: &Shop, price: &str) {
    let fields = [("name", "iPod"), ("price", price)];
    let answer = shop.client.post_form("order/items/1", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

async fn a_price_is_shown_first(shop: &Shop, page: &Page, order: i64, scripts: bool) {
    page.foresee("status of 422");
    set_price(shop, "42.00").await;
    page.open(&shop.url("order/form.html")).await;
    fill_in_customer(page).await;
    fill_in_line(page, 0, "iPod,", "10").await;
    set_price(shop, "99.00").await;
    page.press("Place order").await;
    page.sees("[role=alert]", "42.00 EUR").await;
    page.sees("[role=alert]", "is now").await;
    page.sees("#orderLine-0-item-error", "99.00 EUR").await;
    page.sees("#total", "990.00").await;
    assert_eq!(page.value("orderLine-0-count").await, "10");
    assert_eq!(page.value("shippingAddress-city").await, "Berlin");
    assert_eq!(shop.orders().await, json!(order - 1));
    if scripts {
        axe::check(page, "the form with a changed price").await;
    }
    page.press("Place order").await;
    page.arrives(&format!("/order/order/{order}")).await;
    page.sees("main", "990.00").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_price_is_shown_before_it_is_charged() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        a_price_is_shown_first(&shop, page, 1, true).await;
        // A line that is added shows the new price, and says so at the old line.
        set_price(&shop, "42.00").await;
        page.open(&shop.url("order/form.html")).await;
        fill_in_line(page, 0, "iPod,", "10").await;
        set_price(&shop, "99.00").await;
        page.press("Add line").await;
        page.sees("#orderLine-0-item-error", "42.00 EUR").await;
        page.sees("#total", "990.00").await;
    })
    .await;
    tell(Look::PHONE, async |page| {
        page.turn_scripts_off().await;
        a_price_is_shown_first(&shop, page, 2, false).await;
    })
    .await;
}

async fn a_change_is_not_undone(shop: &Shop, page: &Page, scripts: bool) {
    page.foresee("status of 409");
    for (record, label, theirs) in [
        (
            "items/1",
            "Name",
            [("name", "Walkman"), ("price", "1.00"), ("", "")],
        ),
        (
            "customers/2",
            "Name",
            [
                ("firstname", "Rod"),
                ("name", "Smith"),
                ("email", "rod@example.com"),
            ],
        ),
    ] {
        let path = format!("order/{record}");
        page.open(&shop.url(&path)).await;
        page.fill("name", "Mine").await;
        assert_eq!(shop.client.post_form(&path, &theirs).await.status, 303);
        let (_, name) = theirs
            .into_iter()
            .find(|(field, _)| *field == "name")
            .unwrap();
        page.press("Save").await;
        page.sees("[role=alert]", "changed after you had opened it")
            .await;
        page.sees("[role=alert] li", label).await;
        page.sees("#name-error", name).await;
        assert_eq!(page.value("name").await, "Mine");
        assert_eq!(shop.client.json(&path).await.unwrap()["name"], name);
        if scripts {
            axe::check(page, record).await;
        }
        page.press("Save").await;
        page.sees("tbody", "Mine").await;
        assert_eq!(shop.client.json(&path).await.unwrap()["name"], "Mine");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_asks_before_it_undoes_what_was_changed() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        a_change_is_not_undone(&shop, page, true).await
    })
    .await;
    tell(Look::PHONE, async |page| {
        page.turn_scripts_off().await;
        a_change_is_not_undone(&shop, page, false).await;
    })
    .await;
}
