//! Three services on three addresses, where pages of another one are links; and a service that is
//! down, which does not change the pages of the others.

use harness::{Backend, System};
use serde_json::json;

use crate::page::Look;
use crate::shop::{Shop, order};
use crate::story::tell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_addresses_are_joined_by_links() {
    let mut system = System::new(Backend::Sqlite).await;
    let urls = [&system.invoice, &system.shipping].map(|service| service.client.url(""));
    let [invoice, shipping] = urls;
    system.order.set("INVOICE_URL", invoice);
    system.order.set("SHIPPING_URL", shipping);
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.start().await;
    }
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    tell(Look::DESKTOP, async |page| {
        let order = system.order.client.url(&format!("order/{id}"));
        for (section, text) in [("#invoice", "184.00"), ("#shipment", "Apple TV")] {
            page.open(&order).await;
            page.sees("main", "184.00").await;
            let link = page.find(&format!("{section} a")).await;
            link.click().await.unwrap();
            page.arrives("/1").await;
            page.sees("main", text).await;
        }
    })
    .await;
    // A service that does not answer is a link all the same.
    system.invoice.stop().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&system.order.client.url(&format!("order/{id}")))
            .await;
        page.sees("main", "184.00").await;
        assert!(page.shows("#invoice a").await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_leaves_the_page_complete() {
    let shop = Shop::open().await;
    let id = shop.place(&order("Main Street 1")).await;
    shop.delivered(id).await;
    tell(Look::DESKTOP, async |page| {
        page.foresee("ERR_BLOCKED_BY_CLIENT");
        page.devtools("Network.enable", json!({})).await;
        let away = json!({"urls": [shop.url("invoice/*")]});
        page.devtools("Network.setBlockedURLs", away).await;
        page.open(&shop.url(&format!("order/order/{id}"))).await;
        page.sees("#shipment", "Pending").await;
        page.sees("#invoice", "does not answer right now").await;
        page.sees("main", "184.00").await;
        assert!(page.shows("#invoice a").await, "the plain link stays");
        assert!(!page.shows("[role=alert]").await, "and nothing cries");
    })
    .await;
}
