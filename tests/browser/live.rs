//! The status page without reloading: changes arrive, what the reader does stays, and the page says when it is old.

use harness::{Backend, System, until};
use serde_json::json;

use crate::page::{Look, Page};
use crate::shop::{Shop, order};
use crate::story::tell;

/// A part of the page.
const FACTS: &str = "[data-live=facts]";

/// Requests of the script so far, whatever was answered.
async fn asked(page: &Page) -> i64 {
    let count = "return performance.getEntriesByType('resource')
        .filter(entry => entry.initiatorType === 'fetch').length";
    page.run(count).await.as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_arrives_and_what_the_reader_does_stays() {
    let shop = Shop::open().await;
    let well = shop.place(&order("Main Street 1")).await;
    shop.delivered(well).await;
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON invoice BEGIN SELECT RAISE(ABORT, 'no'); END";
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("invoice/status")).await;
        page.sees(FACTS, "1 of 1").await;
        page.sees("#asof", "It updates by itself").await;
        page.mark().await;

        // Once nothing changes, such as the pace after the first event, no part is replaced, and the time moves.
        until("no part is replaced", async || {
            page.run("document.querySelector('[data-live=facts]').firstChild.marked = true")
                .await;
            let (first, now) = (asked(page).await, page.text("#asof").await);
            until("it asks again", async || {
                (asked(page).await > first && page.text("#asof").await != now).then_some(())
            })
            .await;
            let same =
                "return document.querySelector('[data-live=facts]').firstChild.marked === true";
            (page.run(same).await == true).then_some(())
        })
        .await;

        // An event is parked: notice, facts and card arrive.
        shop.execute("invoice", refuse).await;
        shop.place(&order("Main Street 2")).await;
        page.sees("[data-live=notices]", "1 event is parked").await;
        page.sees(FACTS, "2 of 2").await;
        page.sees("[data-live=parked]", "order/2").await;

        // The reader opens the details of the card, and another card comes.
        page.press("Skip it for ever").await;
        page.find("#reason-0").await;
        shop.place(&order("Main Street 3")).await;
        page.sees("[data-live=parked]", "order/3").await;
        assert!(page.shows("#reason-0").await, "the details stay open");
        assert_eq!(page.focus().await, "Skip it for ever", "and have the focus");

        // The reader writes: that part stays, and the others move.
        page.fill("reason-0", "a test").await;
        shop.place(&order("Main Street 4")).await;
        page.sees("[data-live=notices]", "3 events are parked")
            .await;
        page.sees("#asof", "The part that you are using is older")
            .await;
        assert_eq!(page.value("reason-0").await, "a test");
        let text = page.text("[data-live=parked]").await;
        assert!(!text.contains("order/4"), "{text}");
        // It moves as soon as nothing is written there any more.
        page.fill("reason-0", "").await;
        page.run("document.activeElement.blur()").await;
        page.sees("[data-live=parked]", "order/4").await;
        page.sees("#asof", "It updates by itself").await;

        // What is written in a form outside of all parts stays anyway.
        page.fill("about", "order/2").await;
        shop.execute("invoice", "DROP TRIGGER refuse").await;
        let retried = shop
            .client
            .post_form("invoice/status/retry", &[("by", "eve")])
            .await;
        assert_eq!(retried.status, 303);
        page.sees(FACTS, "0, and 0 waiting").await;
        page.sees("[data-live=past]", "retry").await;
        assert_eq!(page.value("about").await, "order/2");
        assert!(!page.shows("[data-live=notices] .notice").await);
        assert!(page.is_the_same().await, "no page was loaded");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_tab_asks_nothing() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("invoice/status")).await;
        page.sees("#asof", "It updates by itself").await;
        page.hide(true).await;
        page.sees("#stale", "this tab was hidden").await;
        let before = asked(page).await;
        shop.place(&order("Main Street 1")).await;
        shop.has("invoice/status", "sequence", json!(1)).await;
        page.sees(FACTS, "0 of 0").await;
        assert_eq!(asked(page).await, before);
        page.hide(false).await;
        page.sees(FACTS, "1 of 1").await;
        until("it is not called old", async || {
            (!page.shows("#stale").await).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_service_is_away_says_since_when_it_is_old() {
    let mut system = System::started(Backend::Sqlite).await;
    tell(Look::PHONE, async |page| {
        page.foresee("ERR_CONNECTION_REFUSED");
        page.foresee("ERR_CONNECTION_RESET");
        page.foresee("ERR_EMPTY_RESPONSE");
        page.open(&system.invoice.client.url("status")).await;
        page.sees("#asof", "It updates by itself").await;
        page.mark().await;
        system.invoice.kill();
        page.sees("#stale", "Not updated since 20").await;
        page.sees("#stale", "it does not answer").await;
        let id = system.place().await;
        system.invoice.start().await;
        system.invoice(id).await;
        page.sees(FACTS, "1 of 1").await;
        page.sees("#asof", "It updates by itself").await;
        assert!(!page.shows("#stale").await);
        assert!(page.is_the_same().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_the_page_is_as_of_its_request() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.turn_scripts_off().await;
        page.open(&shop.url("invoice/status")).await;
        page.sees("#asof", "As of 20").await;
        shop.place(&order("Main Street 1")).await;
        shop.has("invoice/status", "sequence", json!(1)).await;
        page.sees(FACTS, "0 of 0").await;
        page.session.reload().await.unwrap();
        page.sees(FACTS, "1 of 1").await;
    })
    .await;
}
