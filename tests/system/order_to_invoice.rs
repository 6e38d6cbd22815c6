//! The way of an event: from the order to the invoice and the shipment, in any order of starts, and
//! while services are down.

use harness::{Backend, System, new_order_form, until};
use serde_json::json;

crate::on_both! {
    an_order_by_json_becomes_an_invoice_and_a_shipment
    an_order_by_form_becomes_an_invoice_and_a_shipment
    a_cancelled_order_is_credited_and_not_shipped
    consumers_may_start_before_the_order_service
    pages_answer_while_the_order_service_is_down
    each_service_restarts_in_any_order
}

async fn an_order_by_json_becomes_an_invoice_and_a_shipment(backend: Backend) {
    let system = System::started(backend).await;
    let id = system.place().await;
    let order = system
        .order
        .client
        .json(&format!("order/{id}"))
        .await
        .unwrap();
    let invoice = system.invoice(id).await;
    assert_eq!(order["total"].to_string(), "184.00");
    assert_eq!(invoice["total"].to_string(), order["total"].to_string());
    assert_eq!(invoice["customer"], order["customer"]);
    assert_eq!(invoice["billingAddress"], order["billingAddress"]);
    assert_eq!(invoice["invoiceLine"].as_array().unwrap().len(), 2);

    let shipment = system.shipment(id).await;
    assert_eq!(shipment["shippingAddress"], order["shippingAddress"]);
    assert_eq!(shipment["customer"].get("email"), None);
    let line = json!({"count": 2, "item": {"itemId": 1, "name": "iPod"}});
    assert_eq!(shipment["shipmentLine"][0], line);
}

async fn an_order_by_form_becomes_an_invoice_and_a_shipment(backend: Backend) {
    let system = System::started(backend).await;
    let answer = system.order.client.post_form("", &new_order_form()).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location = answer.header("location");
    let id: i64 = location.strip_prefix("order/").unwrap().parse().unwrap();
    let order = system.order.client.json(location).await.unwrap();
    assert_eq!(order["total"].to_string(), "63.00");
    assert_eq!(system.invoice(id).await["total"].to_string(), "63.00");
    assert_eq!(
        system.shipment(id).await["shippingAddress"]["city"],
        "Paris"
    );
}

async fn a_cancelled_order_is_credited_and_not_shipped(backend: Backend) {
    let system = System::started(backend).await;
    let id = system.place().await;
    let cancelled = system
        .order
        .client
        .post_form(&format!("order/{id}/cancel"), &[])
        .await;
    assert_eq!(cancelled.status, 303);
    let path = id.to_string();
    until("the invoice is credited", async || {
        let invoice = system.invoice.client.json(&path).await?;
        (invoice["status"] == "credited").then_some(())
    })
    .await;
    until("the shipment is stopped", async || {
        let shipment = system.shipping.client.json(&path).await?;
        (shipment["status"] == "stopped").then_some(())
    })
    .await;
}

async fn consumers_may_start_before_the_order_service(backend: Backend) {
    let mut system = System::new(backend).await;
    system.invoice.start().await;
    system.shipping.start().await;
    let status = system.invoice.client.json("status").await.unwrap();
    assert_eq!(
        (&status["sequence"], &status["halted"]),
        (&json!(0), &json!(null))
    );
    system.order.start().await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
}

async fn pages_answer_while_the_order_service_is_down(backend: Backend) {
    let mut system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    system.order.kill();
    for service in [&system.invoice, &system.shipping] {
        for page in ["", "status", &id.to_string(), "health/live", "health/ready"] {
            assert_eq!(service.client.get(page, &[]).await.status, 200, "{page}");
        }
    }
}

async fn each_service_restarts_in_any_order(backend: Backend) {
    let mut system = System::started(backend).await;
    let mut ids = vec![system.place().await];
    for round in 0..3 {
        let System {
            order,
            invoice,
            shipping,
        } = &mut system;
        let mut services = [order, invoice, shipping];
        services.rotate_left(round);
        for service in services {
            assert_eq!(service.stop().await, Some(0));
            service.start().await;
        }
        ids.push(system.place().await);
    }
    for id in &ids {
        system.invoice(*id).await;
        system.shipment(*id).await;
    }
    for (service, list) in [
        (&system.invoice, "invoices"),
        (&system.shipping, "shipments"),
    ] {
        let all = service.client.json("").await.unwrap();
        assert_eq!(all["count"], json!(ids.len()));
        assert_eq!(all[list].as_array().unwrap().len(), ids.len());
    }
}
