//! `--scale invoice=3`: instances on one database behind one name.

use std::collections::HashSet;

use harness::programs::available;
use harness::{Backend, load, until};

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_share_the_name_and_the_work() {
    const ORDERS: u64 = 60;
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let order = site.started("order", Backend::Postgres).await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        let mut invoice = site.service("invoice", Backend::Postgres).await;
        invoice
            .service
            .set("FEED_URL", order.service.client.url("feed"));
        instances.push(invoice);
    }
    let shared = instances[0].service.database.url().to_owned();
    for invoice in &mut instances {
        invoice.service.set("DATABASE_URL", shared.clone());
        site.start_up(invoice).await;
    }
    let count = async |at_least: u64| {
        until("every order has one invoice", async || {
            let list = site.client.json("invoice/").await?;
            let count = list["count"].as_u64().unwrap();
            assert!(count <= at_least, "{count}");
            (count == at_least).then_some(())
        })
        .await;
    };
    for n in 0..ORDERS {
        load::place(&site_orders(&site), n).await.unwrap();
    }
    count(ORDERS).await;
    until("all three have answered through the proxy", async || {
        site.client.json("invoice/").await?;
        let log = site.log();
        let lines = log.lines().filter(|line| line.contains("\"/invoice/\""));
        let upstreams: HashSet<_> = lines
            .filter_map(|line| line.split("\"upstream\":\"").nth(1))
            .map(|rest| rest.split('"').next().unwrap())
            .filter(|upstream| upstream.starts_with("127.") && !upstream.contains(','))
            .collect();
        (upstreams.len() == 3).then_some(())
    })
    .await;
    // One dies, and its name is known for a while: no client notices.
    instances[1].service.kill();
    for _ in 0..20 {
        assert_eq!(site.client.get("invoice/", &[]).await.status, 200);
    }
    for n in 0..ORDERS {
        load::place(&site_orders(&site), n).await.unwrap();
    }
    count(2 * ORDERS).await;
}

/// The order service, from outside.
fn site_orders(site: &Site) -> harness::Client {
    harness::Client::new(&site.client.url("order/"))
}
