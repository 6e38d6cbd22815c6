//! The start page is a picture that moves as orders come, and says when it does not.

use harness::until;
use serde_json::json;

use crate::page::{Look, Page};
use crate::shop::{Shop, order};
use crate::story::tell;

/// Waits until the picture shows these numbers.
async fn shows(page: &Page, newest: i64, taken: i64) {
    page.sees("#order .count", &format!("Newest event {newest}"))
        .await;
    for consumer in ["#invoice", "#shipping"] {
        let taken = format!("Taken up to {taken}");
        page.sees(&format!("{consumer} .count"), &taken).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_page_moves_as_orders_come() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("")).await;
        page.sees("#asof", "moving with each event").await;
        shows(page, 0, 0).await;
        page.mark().await;
        shop.place(&order("Main Street 1")).await;
        shows(page, 1, 1).await;
        page.sees("#invoice .state", "All taken").await;

        let held = shop.hold("invoice").await;
        shop.place(&order("Main Street 2")).await;
        page.sees("#invoice .state", "1 behind").await;
        page.sees("#shipping .state", "All taken").await;
        held.release().await;
        shows(page, 2, 2).await;

        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON invoice BEGIN \
                      SELECT RAISE(ABORT, 'no'); END";
        shop.execute("invoice", refuse).await;
        shop.place(&order("Main Street 3")).await;
        page.sees("#invoice .state", "1 parked").await;
        shows(page, 3, 3).await;
        assert!(page.is_the_same().await, "no page was loaded");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_page_has_the_same_numbers_without_scripts() {
    let shop = Shop::open().await;
    let last = shop.place(&order("Main Street 1")).await;
    shop.delivered(last).await;
    for service in ["invoice", "shipping"] {
        shop.has(&format!("{service}/status"), "sequence", json!(1))
            .await;
    }
    tell(Look::PHONE, async |page| {
        page.turn_scripts_off().await;
        page.open(&shop.url("")).await;
        shows(page, 1, 1).await;
        page.sees("#asof", "As of 20").await;
        shop.place(&order("Main Street 2")).await;
        shop.has("shipping/status", "sequence", json!(2)).await;
        shop.has("invoice/status", "sequence", json!(2)).await;
        shows(page, 1, 1).await;
        page.session.reload().await.unwrap();
        shows(page, 2, 2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_page_says_when_its_numbers_are_old() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.foresee("ERR_BLOCKED_BY_CLIENT");
        page.open(&shop.url("")).await;
        page.sees("#asof", "moving with each event").await;
        // A tab that nobody sees asks nothing.
        page.hide(true).await;
        page.sees("#stale", "Not asked while this tab was hidden")
            .await;
        shop.place(&order("Main Street 1")).await;
        shop.has("invoice/status", "sequence", json!(1)).await;
        shop.has("shipping/status", "sequence", json!(1)).await;
        page.sees("#order .count", "Newest event 0").await;
        page.hide(false).await;
        shows(page, 1, 1).await;
        until("the numbers are new", async || {
            (!page.shows("#stale").await).then_some(())
        })
        .await;

        // A service that is away is named, and the others move.
        page.devtools("Network.enable", json!({})).await;
        let away = json!({"urls": [shop.url("invoice/*")]});
        page.devtools("Network.setBlockedURLs", away).await;
        shop.place(&order("Main Street 2")).await;
        page.sees("#invoice .state", "Does not answer").await;
        page.sees("#stale", "its numbers are older").await;
        page.sees("#shipping .count", "Taken up to 2").await;
        page.sees("#invoice .count", "Taken up to 1").await;
    })
    .await;
}
