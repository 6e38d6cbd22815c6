//! One trace shows an order on its way through all three services. They must be built with the
//! feature `otlp`, which the usual build is not: so `tests/long traces` runs this.

use std::collections::BTreeMap;

use harness::{Backend, System, new_order, until};

use crate::collector::{Collector, Span};

crate::on_both! {
    #[ignore = "it needs the feature otlp: `tests/long traces`"]
    a_trace_leads_from_the_request_to_the_invoice
    #[ignore = "it needs the feature otlp: `tests/long traces`"]
    a_parked_event_is_a_failure_in_its_trace
    #[ignore = "it needs the feature otlp: `tests/long traces`"]
    a_service_works_and_stops_without_its_collector
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

async fn traced(backend: Backend, endpoint: &str) -> System {
    let mut system = System::new(backend).await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.to_owned());
        service.set("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned());
        service.start().await;
    }
    system
}

/// The spans of a trace by service and name, once all of them have arrived.
async fn way(collector: &Collector, trace: impl Fn(&Span) -> bool) -> BTreeMap<String, Span> {
    until("the whole way is traced", async || {
        let spans = collector.spans().into_iter().filter(&trace);
        let way: BTreeMap<String, Span> = spans
            .map(|span| (format!("{} {}", span.service, span.name), span))
            .collect();
        (way.len() == 7).then_some(way)
    })
    .await
}

async fn a_trace_leads_from_the_request_to_the_invoice(backend: Backend) {
    let collector = Collector::start().await;
    let system = traced(backend, &collector.endpoint).await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", traceparent.as_str()),
    ];
    let order = new_order().to_string();
    let client = &system.order.client;
    client
        .try_send("POST", "orders", &headers, &order)
        .await
        .unwrap();
    system.invoice(1).await;
    system.shipment(1).await;

    let way_of_first = way(&collector, |span| span.trace == TRACE).await;
    let parent = |span: &str| way_of_first[span].parent.as_str();
    let id = |span: &str| way_of_first[span].id.as_str();
    assert_eq!(parent("order POST /orders"), CALLER);
    assert_eq!(parent("order feed.append"), id("order POST /orders"));
    assert_eq!(parent("order feed.publish"), id("order feed.append"));
    for consumer in ["invoice", "shipping"] {
        let (poll, apply) = (
            format!("{consumer} feed.poll"),
            format!("{consumer} feed.apply"),
        );
        assert_eq!(parent(&poll), id("order feed.append"));
        assert_eq!(parent(&apply), id(&poll));
        let (poll, apply) = (&way_of_first[&poll], &way_of_first[&apply]);
        assert!(poll.begun <= apply.begun && apply.ended <= poll.ended);
    }
    let feed = system.order.client.get("feed", &[]).await;
    let event = &feed.elements("id")[1];
    for span in way_of_first.values() {
        assert_eq!(
            span.event.as_ref(),
            Some(event).filter(|_| span.name.starts_with("feed."))
        );
    }

    // A request without a trace begins one, and so does a batch of several.
    for expected in [2, 3] {
        assert_eq!(system.place().await, expected);
        system.invoice(expected).await;
        system.shipment(expected).await;
    }
    let feed = system.order.client.get("feed", &[]).await;
    let mut traces = vec![TRACE.to_owned()];
    for event in &feed.elements("id")[1..3] {
        // Spans are sent in intervals.
        let trace = until("a span of the event", async || {
            let of_event = |span: &Span| span.event.as_ref() == Some(event);
            Some(collector.spans().into_iter().find(of_event)?.trace)
        })
        .await;
        assert!(!traces.contains(&trace), "each request has its own");
        let way = way(&collector, |span| span.trace == trace).await;
        assert_eq!(way["order POST /orders"].parent, "");
        traces.push(trace);
    }
}

async fn a_parked_event_is_a_failure_in_its_trace(backend: Backend) {
    let collector = Collector::start().await;
    let system = traced(backend, &collector.endpoint).await;
    let sql = "CREATE UNIQUE INDEX by_mistake ON invoice (customer_id)";
    system.invoice.database.execute(sql).await;
    for _ in 0..2 {
        system.place().await;
    }
    until("the second one has failed", async || {
        let failed = collector.spans().into_iter();
        let mut failed = failed.filter(|span| span.failed && span.name == "feed.apply");
        failed.next()
    })
    .await;
}

async fn a_service_works_and_stops_without_its_collector(backend: Backend) {
    let mut system = traced(backend, "http://127.0.0.1:9").await;
    let id = system.place().await;
    system.invoice(id).await;
    until("the log says so", async || {
        let log = system.invoice.process()?.log();
        log.contains("the collector does not take our traces")
            .then_some(())
    })
    .await;
    assert_eq!(system.invoice.stop().await, Some(0));
}
