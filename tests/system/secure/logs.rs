//! Logs contain the order and the event, but no person and no secret.

use harness::tables::texts;
use harness::{Backend, Process, Service, System, free_address, until};
use serde_json::json;

use super::protected;

crate::on_both! {
    nothing_personal_and_no_secret_is_logged
    a_token_in_the_address_of_a_feed_is_shown_nowhere
}

/// Our own code at its most detailed level, and other crates at their default.
const ALL: &str = "info,order=trace,invoice=trace,shipping=trace,feed_core=trace,shop=trace";

/// None of them occurs anywhere else.
const PERSONAL: [&str; 9] = [
    "Zebulon",
    "Quetzalcoatl",
    "zebulon.q@personal.example",
    "Larkspur Lane 77",
    "ZX-4711",
    "Brigadoon",
    "Foxglove Row 13",
    "Lyonesse",
    "personal.example",
];

const SECRETS: [&str; 10] = [
    "first-pass",
    "second-reader-token",
    "pass:w",
    "other pass",
    "operator-token",
    "guessed-pass",
    // The same in Base64.
    "cmVhZGVyOmZpcnN0LXBhc3M",
    "ZXZlOnBhc3M6d8O2cmQ",
    "authorization",
    "Authorization",
];

async fn nothing_personal_and_no_secret_is_logged(backend: Backend) {
    let mut system = protected(backend).await;
    let System {
        order,
        invoice,
        shipping,
    } = &mut system;
    for (service, format) in [(order, "text"), (invoice, "json"), (shipping, "text")] {
        service.set("RUST_LOG", ALL.to_owned());
        service.set("LOG_FORMAT", format.to_owned());
        service.start().await;
    }
    let client = &system.order.client;
    let customer = json!({
        "firstname": PERSONAL[0], "name": PERSONAL[1], "email": PERSONAL[2],
    });
    let customer = client.post_json("customers", &customer).await.unwrap();
    let address = |street, city| json!({"street": street, "zip": PERSONAL[4], "city": city});
    let order = json!({
        "customer": customer.json()["customerId"],
        "shippingAddress": address(PERSONAL[3], PERSONAL[5]),
        "billingAddress": address(PERSONAL[6], PERSONAL[7]),
        "orderLine": [{"item": 1, "count": 2}],
    });
    let place = async || {
        let placed = client.post_json("orders", &order).await.unwrap();
        placed.json()["id"].as_i64().unwrap()
    };
    let id = place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    // Requests that are refused, unknown, guessed and wrong.
    let mut wrong = order.clone();
    wrong["shippingAddress"]["zip"] = json!({"not": PERSONAL[4]});
    client.post_json("orders", &wrong).await.unwrap();
    let half = format!("{{\"customer\": \"{}", PERSONAL[1]);
    let headers = [("content-type", "application/json")];
    client.try_send("POST", "orders", &headers, &half).await;
    client.get(&format!("?q={}", PERSONAL[1]), &[]).await;
    client
        .get(&format!("customers?q={}", PERSONAL[0]), &[])
        .await;
    client
        .get(&format!("{}/{}", PERSONAL[0], PERSONAL[5]), &[])
        .await;
    let guess = client.showing("Bearer guessed-pass");
    assert_eq!(guess.get("", &[]).await.status, 401);
    // An event that cannot be applied, since the database refuses it.
    let poison = |table| format!("CREATE UNIQUE INDEX by_mistake ON {table} (customer_id)");
    system.invoice.database.execute(&poison("invoice")).await;
    system.shipping.database.execute(&poison("shipment")).await;
    place().await;
    for consumer in [&system.invoice, &system.shipping] {
        until("an event is parked", async || {
            let status = consumer.client.json("status").await?;
            (status["parked"] == 1).then_some(())
        })
        .await;
        let headers = [("accept", "application/json")];
        let headers = [
            headers[0],
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        for path in ["status/retry", "status/reconcile", "poll"] {
            let body = if path == "status/retry" { "by=eve" } else { "" };
            consumer.client.try_send("POST", path, &headers, body).await;
        }
        until("it is compared", async || {
            let status = consumer.client.json("status").await?;
            (!status["reconciliation"].is_null()).then_some(())
        })
        .await;
    }
    let path = format!("order/{id}/cancel");
    assert_eq!(client.post_form(&path, &[]).await.status, 303);
    until("the invoice is credited", async || {
        let invoice = system.invoice.client.json(&id.to_string()).await?;
        (invoice["status"] == "credited").then_some(())
    })
    .await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        let log = ended(service).await;
        assert!(log.lines().count() > 5, "{log}");
        for text in PERSONAL.iter().chain(&SECRETS) {
            let mut lines = log.lines();
            let line = lines.find(|line| line.contains(text));
            assert_eq!(line, None, "{text} is logged");
        }
    }
}

/// The complete log of a service, after its end.
async fn ended(service: &mut Service) -> String {
    let process = service.process().unwrap();
    process.signal("TERM");
    until("it has stopped", async || {
        process.log().contains("stopped").then_some(())
    })
    .await;
    process.log()
}

/// The error about an event with wrong data does not quote the data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_read_is_not_quoted() {
    let producer = harness::producer::Producer::new().await;
    let placed = harness::producer::PLACED;
    let data = |id: i64, customer: &str| {
        format!("{{\"id\":{id},\"customer\":{customer},\"orderLine\":[]}}")
    };
    for (id, customer) in [
        (1, format!("\"{}\"", PERSONAL[1])),
        (2, format!("{{\"customerId\":\"{}\"}}", PERSONAL[2])),
        (
            3,
            format!("{{\"customerId\":1,\"name\":[\"{}\\\"\"]}}", PERSONAL[0]),
        ),
    ] {
        producer
            .tell("order.placed", id, placed, &data(id, &customer))
            .await;
    }
    producer.publish().await;
    for name in ["invoice", "shipping"] {
        let mut consumer = Service::new(name, Backend::Sqlite).await;
        consumer.set("FEED_URL", producer.feed_url.clone());
        consumer.set("RUST_LOG", ALL.to_owned());
        consumer.start().await;
        until("all are parked", async || {
            let status = consumer.client.json("status").await?;
            (status["parked"] == 3).then_some(())
        })
        .await;
        let parked = consumer.client.get("status/parked", &[]).await.body;
        let log = consumer.process().unwrap().log();
        assert!(log.contains("parked event"), "{log}");
        for text in PERSONAL {
            assert!(!log.contains(text), "{text} is logged: {log}");
            assert!(!parked.contains(text), "{text} is kept: {parked}");
        }
    }
}

/// The password of a database is in no error, whatever is wrong with its URL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_contains_the_password_of_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let unused = free_address();
    let away = format!("postgres://eve:s3cret@{unused}/shop");
    for url in [
        "postgres://eve:s3cret@127.0.0.1:port/shop",
        "postgres://eve:s3cret@[::1/shop",
        "postgres://eve:s3cret@127.0.0.1/shop?sslmode=perhaps",
        "mysql://eve:s3cret@127.0.0.1/shop",
        &away,
    ] {
        for name in ["order", "invoice", "shipping"] {
            let settings = [
                ("DATABASE_URL", url),
                ("LISTEN", "127.0.0.1:0"),
                ("RUST_LOG", ALL),
            ];
            let mut process = Process::start(name, &settings, directory.path());
            if url == away {
                until("it waits", async || {
                    process.log().contains("still waiting: ").then_some(())
                })
                .await;
                process.stop("TERM").await;
            } else {
                assert_eq!(process.ended().await, Some(1), "{}", process.log());
                assert!(process.log().contains("DATABASE_URL"), "{}", process.log());
            }
            assert!(!process.log().contains("s3cret"), "{}", process.log());
        }
    }
}

/// As private feeds of others have it. Ours refuses the parameter: the error names the address.
async fn a_token_in_the_address_of_a_feed_is_shown_nowhere(backend: Backend) {
    const TOKEN: &str = "s3cret-of-the-feed";
    let mut system = System::new(backend).await;
    system.order.start().await;
    let feed = system.order.client.url("feed");
    let invoice = &mut system.invoice;
    invoice.set(
        "FEED_URL",
        format!("{feed}?private_token={TOKEN}&type=order.placed"),
    );
    invoice.set("RUST_LOG", ALL.to_owned());
    invoice.start().await;
    let status = until("a poll has failed", async || {
        let status = invoice.client.json("status").await?;
        status["last_error"].is_string().then_some(status)
    })
    .await;
    let shown = format!("{feed}?private_token=…&type=order.placed");
    assert_eq!(status["feed"], shown);
    let error = status["last_error"].as_str().unwrap();
    assert!(error.contains(&shown) && error.contains("400"), "{error}");
    let page = [("accept", "text/html")];
    let page = invoice.client.get("status", &page).await.body;
    let stored = texts(invoice.database.url(), "SELECT feed FROM feed_instance").await;
    assert_eq!(stored, [shown.as_str()]);
    let errors = "SELECT last_error FROM feed_instance WHERE last_error IS NOT NULL";
    let errors = texts(invoice.database.url(), errors).await;
    let log = invoice.process().unwrap().log();
    assert!(log.contains(&shown), "{log}");
    for text in [status.to_string(), page, errors.concat(), log] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}
