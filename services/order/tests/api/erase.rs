//! A customer is erased: the service has no personal data of them any more, whatever happens meanwhile.

use axum::http::Request;
use harness::Sql;
use order::erase::{EraseError, Erased};
use order::order::CustomerId;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::app::{App, Testable, an_order, json_request};

harness::on_both_databases! {
    no_personal_data_is_left
    an_erased_order_is_shown_and_cancelled
    an_erased_customer_cannot_order_or_be_changed
    an_interrupted_erasure_is_finished
    orders_placed_during_an_erasure_are_erased
    an_order_begun_before_the_erasure_is_erased
    an_unknown_customer_is_refused
}

const PERSON: [&str; 7] = [
    "Skłodowska",
    "Marya",
    "marya@example.org",
    "Freta",
    "00-227",
    "Warszawa",
    "Sceaux",
];

/// Adds customer 3, who is erased later.
async fn add_person<S: Testable>(app: &App<S>) {
    let person = [
        ("name", PERSON[0]),
        ("firstname", PERSON[1]),
        ("email", PERSON[2]),
    ];
    assert_eq!(app.post_form("/customers", &person).await.status, 303);
}

fn order_of_person() -> Value {
    let mut order = an_order();
    order["customer"] = json!(3);
    order["shippingAddress"] = json!({"street": PERSON[3], "zip": PERSON[4], "city": PERSON[5]});
    order["billingAddress"] = json!({"street": PERSON[3], "zip": PERSON[4], "city": PERSON[6]});
    order
}

async fn place_of_person<S: Testable>(app: &App<S>) -> i64 {
    let answer = app.post_json(&order_of_person()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["id"].as_i64().expect("an id")
}

async fn erase<S: Testable>(app: &App<S>) -> Erased {
    let erased = app.orders.erase(CustomerId(3), "eve").await;
    erased.expect("the customer is erased")
}

fn names(text: &str) -> Vec<&'static str> {
    let named = PERSON.into_iter().filter(|part| text.contains(part));
    named.collect()
}

/// All values in the tables of the service and of the feed.
async fn stored<S: Testable>(app: &App<S>) -> String {
    let mut stored = String::new();
    let columns = [
        ("customers", "name || firstname || email"),
        (
            "orders",
            "customer_name || customer_firstname || customer_email || shipping_street
             || shipping_zip || shipping_city || billing_street || billing_zip || billing_city",
        ),
        ("feed_event", "title || summary || link || data"),
        ("idempotency_key", "key"),
        ("erasure", "erased_by"),
    ];
    for (table, columns) in columns {
        let sql = format!("SELECT {columns} FROM {table}");
        stored.extend(S::texts(&app.database, &sql).await);
    }
    let waiting = format!("SELECT data FROM {}", <S as Sql>::OUTBOX);
    stored.extend(S::texts(&app.database, &waiting).await);
    stored
}

async fn no_personal_data_is_left<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    add_person(&app).await;
    let other = app.place().await;
    for _ in 0..3 {
        place_of_person(&app).await;
    }
    let request = json_request().header("Idempotency-Key", "by Marya");
    let answer = app.send(request, &order_of_person().to_string()).await;
    assert_eq!(answer.status, 201);
    app.feed().await;
    // Its event has no sequence yet, if the database numbers after the commit.
    assert_eq!(app.delete("/order/3").await.status, 200);
    let before = app.json("/order/2").await;
    let paths = [
        "/",
        "/?q=marya",
        "/customers",
        "/customers?q=marya",
        "/form.html",
        "/order/2",
        "/order/3",
        "/order/4",
        "/order/5",
        "/feed",
    ];
    let tag = app.get("/order/2", "application/json").await;
    assert_eq!(names(&stored(&app).await), PERSON);

    let expected = Erased {
        orders: 4,
        events: 5,
    };
    assert_eq!(erase(&app).await, expected);
    assert_eq!(names(&stored(&app).await), [""; 0]);
    for path in paths {
        for accept in ["application/json", "text/html"] {
            let answer = app.get(path, accept).await;
            assert!(
                matches!(answer.status, 200 | 406),
                "{path}: {}",
                answer.body
            );
            assert_eq!(names(&answer.body), [""; 0], "{path}: {}", answer.body);
        }
    }
    // All other fields are as they were.
    let after = app.json("/order/2").await;
    let mut expected = before.clone();
    expected["customer"] = json!({"customerId": 3});
    for address in ["shippingAddress", "billingAddress"] {
        expected.as_object_mut().expect("an object").remove(address);
    }
    assert_eq!(after.to_string(), expected.to_string());
    assert_eq!(app.json("/order/1").await, other);
    // A client that has cached the data gets no 304.
    let again = Request::get("/order/2")
        .header("accept", "application/json")
        .header("if-none-match", tag.header("etag"));
    assert_eq!(app.send(again, "").await.status, 200);
    // It is the last event of each order, and has the fields that are left.
    let data = "SELECT data FROM feed_event WHERE event_type = 'order.erased' ORDER BY sequence";
    let data = S::texts(&app.database, data).await;
    assert_eq!(data.len(), 4);
    let data: Value = serde_json::from_str(&data[0]).expect("JSON");
    assert_eq!(data, after);
}

async fn an_erased_order_is_shown_and_cancelled<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    add_person(&app).await;
    place_of_person(&app).await;
    erase(&app).await;
    let page = app.page("/order/1").await;
    assert_eq!(page.matches(">erased<").count(), 3, "{page}");
    assert!(page.contains("Order 1: personal data erased"));
    assert!(app.page("/").await.contains("erased"));
    assert_eq!(
        app.json("/").await["orders"][0]["customer"],
        json!({"customerId": 3})
    );
    assert_eq!(app.delete("/order/1").await.status, 200);
    app.feed().await;
    let types = "SELECT event_type FROM feed_event ORDER BY sequence";
    let types = S::texts(&app.database, types).await;
    assert_eq!(types, ["order.placed", "order.erased", "order.cancelled"]);
    assert_eq!(names(&stored(&app).await), [""; 0]);
}

async fn an_erased_customer_cannot_order_or_be_changed<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    add_person(&app).await;
    let request = || json_request().header("Idempotency-Key", "one");
    let body = order_of_person().to_string();
    assert_eq!(app.send(request(), &body).await.status, 201);
    erase(&app).await;
    for answer in [
        app.post_json(&order_of_person()).await,
        app.send(request(), &body).await,
    ] {
        answer.assert_problem(422);
        assert_eq!(
            answer.json()["errors"][0]["message"],
            "There is no customer 3."
        );
    }
    let person = [
        ("name", PERSON[0]),
        ("firstname", PERSON[1]),
        ("email", PERSON[2]),
    ];
    assert_eq!(app.post_form("/customers/3", &person).await.status, 404);
    assert_eq!(
        app.get("/customers/3", "application/json").await.status,
        404
    );
    // No other customer gets the number.
    add_person(&app).await;
    assert_eq!(
        app.json("/customers").await["customers"][0]["customerId"],
        4
    );
    assert_eq!(app.stored().await, (1, 2, 2));
}

async fn an_interrupted_erasure_is_finished<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    add_person(&app).await;
    for _ in 0..3 {
        place_of_person(&app).await;
    }
    app.feed().await;
    // The second order cannot be erased.
    let broken = "UPDATE feed_event SET data = '[]' WHERE subject = 'order/2'";
    S::run(&app.database, broken).await;
    let failed = app.orders.erase(CustomerId(3), "eve").await;
    assert!(matches!(failed, Err(EraseError::Database(_))), "{failed:?}");
    let done = "SELECT count(*) FROM erasure WHERE done_at IS NOT NULL";
    assert_eq!(S::number(&app.database, done).await, 0);
    assert!(app.json("/order/2").await["customer"]["name"].is_string());
    let mended = "UPDATE feed_event SET data =
        (SELECT data FROM feed_event WHERE subject = 'order/3') WHERE subject = 'order/2'";
    S::run(&app.database, mended).await;
    assert_eq!(
        erase(&app).await,
        Erased {
            orders: 2,
            events: 2
        }
    );
    // The date of the erasure is the first one.
    let first = "UPDATE erasure SET done_at = '2001-02-03T04:05:06.007Z'";
    S::run(&app.database, first).await;
    assert_eq!(erase(&app).await, Erased::default());
    let still = "SELECT count(*) FROM erasure WHERE done_at < '2002-01-01'";
    assert_eq!(S::number(&app.database, still).await, 1);
    assert_eq!(names(&stored(&app).await), [""; 0]);
    // Each order has one event.
    assert_eq!(app.stored().await, (3, 6, 6));
}

async fn orders_placed_during_an_erasure_are_erased<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    add_person(&app).await;
    let rivals: Vec<_> = (0..6)
        .map(|_| {
            let router = app.router.clone();
            tokio::spawn(async move {
                let mut placed = 0;
                loop {
                    let request = json_request().body(order_of_person().to_string().into());
                    let answer = harness::call(&router, request.expect("a request")).await;
                    match answer.status {
                        201 => placed += 1,
                        422 => return placed,
                        _ => panic!("{}: {}", answer.status, answer.body),
                    }
                }
            })
        })
        .collect();
    while app.json("/").await["count"].as_i64() < Some(20) {
        app.feed.publish().await.expect("a cursor");
    }
    let erased = erase(&app).await;
    let mut placed = 0;
    for rival in rivals {
        placed += rival.await.expect("it was refused in the end");
    }
    assert_eq!((erased.orders, erased.events), (placed, placed));
    assert_eq!(names(&stored(&app).await), [""; 0]);
}

/// Two transactions place an order while the customer is removed: one has stored it by then, one has not. (SQLite has
/// only one write transaction at a time.)
async fn an_order_begun_before_the_erasure_is_erased<S: Testable>(url: &str) {
    if url.starts_with("sqlite") {
        return;
    }
    let app = App::<S>::open(url).await;
    for (customer, stored_before) in [(3, true), (4, false)] {
        add_person(&app).await;
        // It must wait for the order. If it did not, it would end first.
        let ended = std::cell::Cell::new(false);
        let (begun, open) = oneshot::channel();
        let (go, wait) = oneshot::channel();
        let slow = place_slowly(&app, customer, stored_before, begun, wait);
        let erase = async {
            open.await.expect("the order is open");
            let erased = app.orders.erase(CustomerId(customer), "eve").await;
            ended.set(true);
            erased
        };
        let word = async {
            // Other tests hold locks in other databases.
            let waiting = "SELECT count(*) FROM pg_locks
                           WHERE locktype = 'advisory' AND NOT granted AND database =
                                 (SELECT oid FROM pg_database WHERE datname = current_database())";
            while !ended.get() && S::number(&app.database, waiting).await == 0 {
                tokio::task::yield_now().await;
            }
            go.send(()).expect("the order waits");
        };
        let (stored_at_all, erased, ()) = tokio::join!(slow, erase, word);
        let erased = erased.expect("the customer is erased");
        assert_eq!(stored_at_all, stored_before);
        assert_eq!(erased.orders, u64::from(stored_before));
        assert_eq!(names(&stored(&app).await), [""; 0]);
    }
}

/// Places an order as `Orders::place` does, reports that it has `begun`, and waits for a message, before or after it is
/// stored. False: the order is refused.
async fn place_slowly<S: Testable>(
    app: &App<S>,
    customer: i64,
    stored_before: bool,
    begun: oneshot::Sender<()>,
    word: oneshot::Receiver<()>,
) -> bool {
    let mut draft = order_of_person();
    draft["customer"] = json!(customer);
    let draft = order::representation::draft(&draft);
    let mut tx = app.database.begin().await.expect("a transaction");
    let catalog = S::named(&mut tx, Some(CustomerId(customer)), &draft.items()).await;
    let new = draft.check(&catalog.expect("a catalog")).expect("an order");
    let mut waits = Some((begun, word));
    if !stored_before && let Some(waits) = waits.take() {
        wait(waits).await;
    }
    let order = S::insert(&mut tx, new).await.expect("an answer");
    if let Some(order) = &order {
        let base = "https://shop.example/".parse().expect("a URL");
        let event = feed_core::outbox::append(&mut tx, &order.placed(&base)).await;
        event.expect("an event");
    }
    if let Some(waits) = waits {
        wait(waits).await;
    }
    tx.commit().await.expect("a commit");
    order.is_some()
}

async fn wait((begun, word): (oneshot::Sender<()>, oneshot::Receiver<()>)) {
    begun.send(()).expect("somebody waits for it");
    word.await.expect("a word");
}

async fn an_unknown_customer_is_refused<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let refused = app.orders.erase(CustomerId(99), "eve").await;
    assert!(
        matches!(refused, Err(EraseError::NoSuchCustomer(CustomerId(99)))),
        "{refused:?}"
    );
    assert_eq!(
        S::number(&app.database, "SELECT count(*) FROM erasure").await,
        0
    );
    assert_eq!(app.stored().await, (1, 2, 1));
}
