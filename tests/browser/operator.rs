//! The operator on call: the feed, and the status page with the parked events.

use crate::axe;
use crate::page::Look;
use crate::shop::{Shop, order};
use crate::story::tell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_is_a_page_in_a_browser() {
    let shop = Shop::open().await;
    shop.place(&order("Main Street 1")).await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("order/feed")).await;
        page.sees("main table", "order.placed").await;
        axe::check(page, "the feed").await;
        page.press("Order 1 placed: 2 lines, 184.00 EUR").await;
        page.arrives("/order/order/1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buttons_retry_and_skip_parked_events() {
    let shop = Shop::open().await;
    let well = shop.place(&order("Main Street 1")).await;
    shop.delivered(well).await;
    // A second order of a customer is refused by the database.
    let mistake = "CREATE UNIQUE INDEX by_mistake ON invoice (customer_id)";
    shop.execute("invoice", mistake).await;
    let stuck = shop.place(&order("Main Street 2")).await;
    let given_up = shop.place(&order("Main Street 3")).await;
    shop.has("invoice/status", "parked", 2.into()).await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("invoice/status")).await;
        page.sees("main", "2 events are parked").await;
        let card = format!("section[aria-labelledby={}]", "parked-0");
        page.sees(&card, &format!("order/{stuck}")).await;
        page.sees(&card, "customer_id").await;
        axe::check(page, "the status with parked events").await;

        // The cause is not corrected yet: it fails once more.
        page.fill("by-retry-0", "eve").await;
        page.find(&format!("{card} form[action$=retry] button"))
            .await
            .click()
            .await
            .unwrap();
        page.sees("main", "retry urn:uuid:").await;

        // The later one is skipped.
        let card = "section[aria-labelledby=parked-1]";
        page.sees(card, &format!("order/{given_up}")).await;
        page.find(&format!("{card} summary"))
            .await
            .click()
            .await
            .unwrap();
        page.fill("reason-1", "a test order, \"<b>\"").await;
        page.fill("by-skip-1", "eve").await;
        page.find(&format!("{card} form[action$=skip] button"))
            .await
            .click()
            .await
            .unwrap();
        page.sees("main", "1 event is parked").await;
        page.sees("main", "a test order, \"<b>\"").await;

        shop.execute("invoice", "DROP INDEX by_mistake").await;
        page.fill("by-retry-0", "eve").await;
        page.press("Retry").await;
        shop.has("invoice/status", "parked", 0.into()).await;
        page.session.reload().await.unwrap();
        page.sees("main", "0, and 0 waiting").await;
        page.open(&shop.url(&format!("invoice/{stuck}"))).await;
        page.sees("main", "Main Street 2").await;
    })
    .await;
}
