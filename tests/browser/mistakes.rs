//! Mistakes in the order form: each is reported at its field, and the form keeps what was typed.

use crate::axe;
use crate::clerk::{FIELDS, fill_in_customer, fill_in_line};
use crate::page::{Look, Page};
use crate::shop::Shop;
use crate::story::tell;
use crate::webdriver::By;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_is_reported_at_its_field() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.foresee("status of 422");
        page.open(&shop.url("order/form.html")).await;
        page.fill("orderLine-0-count", "none").await;
        page.press("Place order").await;
        page.find("[role=alert]").await;
        assert_eq!(invalid(page).await, FIELDS);
        focus_is_on_the_summary_or_an_invalid_field(page).await;
        for field in FIELDS {
            let message = message(page, field).await;
            assert!(message.ends_with('.'), "{field}: {message:?}");
        }
        assert_eq!(
            page.value("orderLine-0-count").await,
            "none",
            "as it was typed"
        );
        axe::check(page, "the form with mistakes").await;

        // One after the other is corrected; the others keep what was typed.
        fill_in_customer(page).await;
        page.fill("billingAddress-zip", "").await;
        fill_in_line(page, 0, "iPod,", "0").await;
        page.press("Place order").await;
        page.find("#shippingAddress-street:not([aria-invalid=true])")
            .await;
        assert_eq!(
            invalid(page).await,
            ["billingAddress-zip", "orderLine-0-count"]
        );
        focus_is_on_the_summary_or_an_invalid_field(page).await;
        assert_eq!(page.value("shippingAddress-street").await, "Main Street 1");
        assert_eq!(page.value("orderLine-0-count").await, "0");
        // The summary leads to the field.
        page.find("[role=alert] a[href='#billingAddress-zip']")
            .await
            .click()
            .await
            .unwrap();
        assert_eq!(page.focus().await, "billingAddress-zip");

        page.fill("billingAddress-zip", "10115").await;
        page.fill("orderLine-0-count", "2").await;
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
    })
    .await;
}

async fn invalid(page: &Page) -> Vec<String> {
    let found = page.session.find_all(By::Css("[aria-invalid=true]"));
    let mut ids = Vec::new();
    for field in found.await.unwrap() {
        ids.push(field.attribute("id").await.unwrap());
    }
    ids
}

/// The messages that are read out with a field, which can be seen.
async fn message(page: &Page, field: &str) -> String {
    let field = page.find(&format!("[id='{field}']")).await;
    let described = field.attribute("aria-describedby").await.unwrap();
    let mut messages = Vec::new();
    for id in described.split_whitespace() {
        messages.push(page.text(&format!("[id='{id}']")).await);
    }
    messages.join(" ")
}

async fn focus_is_on_the_summary_or_an_invalid_field(page: &Page) {
    let at = "const at = document.activeElement; \
              return at.matches('[aria-invalid=true]') || at.closest('[role=alert]') !== null";
    assert_eq!(
        page.run(at).await,
        true,
        "the focus is on {:?}",
        page.focus().await
    );
}
