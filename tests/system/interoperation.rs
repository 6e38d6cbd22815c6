//! Together with the original example: its feed is read by our consumers, and our feed by a
//! client that behaves like its pollers.

use harness::{Backend, Original, Service, System, until};
use serde_json::json;

crate::on_both! {
    our_consumers_follow_the_originals_feed
    a_poller_like_the_originals_gets_every_order
}

async fn our_consumers_follow_the_originals_feed(backend: Backend) {
    for (name, list) in [("invoice", "invoices"), ("shipping", "shipments")] {
        let mut consumer = Service::new(name, backend).await;
        let original = Original::default();
        consumer.set("FEED_URL", original.serve().await);
        [9, 7, 8].iter().for_each(|id| original.place(*id));
        consumer.start().await;
        for ids in [7..=9, 7..=10] {
            ids.clone().for_each(|id| original.place(id));
            until("all orders are taken", async || {
                let all = consumer.client.json("").await?;
                (all["count"] == json!(ids.clone().count())).then_some(())?;
                (all[list].as_array()?.len() == ids.clone().count()).then_some(())
            })
            .await;
        }
        let one = consumer.client.json("7").await.unwrap();
        assert_eq!(one["customer"]["name"], "Curie");
        if name == "invoice" {
            assert_eq!(one["total"].to_string(), "84.00");
        }
    }
}

/// The poller reads `content[0]@src` of each entry and parses the JSON, and would abort its whole
/// poll at any status but 200.
async fn a_poller_like_the_originals_gets_every_order(backend: Backend) {
    let mut system = System::new(backend).await;
    system.order.start().await;
    let mut placed = Vec::new();
    for _ in 0..12 {
        placed.push(system.place().await);
    }
    let cancel = format!("order/{}/cancel", placed[3]);
    assert_eq!(
        system.order.client.post_form(&cancel, &[]).await.status,
        303
    );

    let client = &system.order.client;
    let head = until("all events are in the feed", async || {
        let head = client
            .get("feed", &[("accept", "application/atom+xml")])
            .await;
        (head.elements("id").len() == 14).then_some(head)
    })
    .await;
    assert!(
        head.header("content-type")
            .starts_with("application/atom+xml")
    );
    let mut read = Vec::new();
    for entry in head.body.split("<entry>").skip(1) {
        let (_, rest) = entry.split_once("<content").unwrap();
        let (_, rest) = rest.split_once("src=\"").unwrap();
        let answer = client.get(rest.split('"').next().unwrap(), &[]).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("content-type")
                .starts_with("application/json")
        );
        let order = answer.json();
        for name in ["customerId", "name", "firstname", "email"] {
            assert!(order["customer"].get(name).is_some(), "{name}");
        }
        let line = &order["orderLine"][0];
        assert!(line["count"].is_i64() && line["item"]["price"].is_number());
        assert!(order["updated"].is_string());
        for address in ["billingAddress", "shippingAddress"] {
            assert!(order[address]["street"].is_string());
        }
        read.push(order["id"].as_i64().unwrap());
    }
    read.sort_unstable();
    read.dedup();
    assert_eq!(read, placed);
}
