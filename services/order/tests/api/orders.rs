//! Orders are placed, shown, listed and cancelled, and a failure leaves nothing behind.

use axum::http::Request;
use harness::Answer;
use serde_json::{Value, json};

use crate::app::{App, Testable, an_order, json_request};

harness::on_both_databases! {
    prices_and_names_stay_as_sold
    a_draft_that_breaks_a_rule_is_not_stored
    a_program_gets_the_type_that_a_field_has
    totals_are_exact
    a_second_cancel_is_no_second_event
    a_cancellation_is_never_before_the_order
    a_missing_order_cannot_be_cancelled
    a_repeated_request_places_one_order
    an_order_whose_event_fails_is_not_stored
    orders_survive_a_restart
}

async fn prices_and_names_stay_as_sold<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let before = app.place().await;
    S::run(
        &app.database,
        "UPDATE items SET price_cents = 9999, name = 'dearer';
         UPDATE customers SET name = 'other', email = 'other@example.com'",
    )
    .await;
    assert_eq!(app.json("/order/1").await, before);
    assert!(!app.page("/order/1").await.contains("dearer"));
    let after = app.place().await;
    assert_eq!(after["total"].to_string(), "299.97");
    assert_eq!(after["customer"]["email"], "other@example.com");
    let list = app.json("/").await;
    assert_eq!(list["orders"][1]["total"], before["total"]);
    assert_eq!(list["orders"][1]["customer"], before["customer"]);
}

async fn a_draft_that_breaks_a_rule_is_not_stored<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let line = json!({"item": 1, "count": 1});
    let cases = [
        ("customer", "/customer", json!(3)),
        ("customer", "/customer", json!("1")),
        ("customer", "/customer", json!(null)),
        (
            "shippingAddress.street",
            "/shippingAddress/street",
            json!(" "),
        ),
        (
            "shippingAddress.zip",
            "/shippingAddress/zip",
            json!("1".repeat(21)),
        ),
        (
            "billingAddress.city",
            "/billingAddress/city",
            json!("a\u{0}b"),
        ),
        (
            "billingAddress.street",
            "/billingAddress/street",
            json!("x".repeat(201)),
        ),
        ("orderLine", "/orderLine", json!([])),
        ("orderLine", "/orderLine", json!(vec![line; 1_001])),
        ("orderLine", "/orderLine", json!({"0": "line"})),
        ("orderLine[1].item", "/orderLine/1/item", json!(5)),
        ("orderLine[1].item", "/orderLine/1/item", json!(-1)),
        ("orderLine[0].count", "/orderLine/0/count", json!(0)),
        ("orderLine[0].count", "/orderLine/0/count", json!(-1)),
        ("orderLine[0].count", "/orderLine/0/count", json!(1_000_001)),
        ("orderLine[0].count", "/orderLine/0/count", json!(1.5)),
        ("orderLine[0].count", "/orderLine/0/count", json!(u64::MAX)),
    ];
    for (field, pointer, value) in cases {
        let mut order = an_order();
        *order.pointer_mut(pointer).expect("a field") = value.clone();
        let answer = app.post_json(&order).await;
        answer.assert_problem(422);
        assert_eq!(fields(&answer), [field], "{value}");
    }
    for body in [json!([1]), json!([]), json!(null), json!("order"), json!(1)] {
        let answer = app.post_json(&body).await;
        answer.assert_problem(422);
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("no object"), "{body}: {detail}");
    }
    for (body, status) in [("", 400), ("{", 400), ("{\"customer\": \u{1}}", 400)] {
        let answer = app.send(json_request(), body).await;
        answer.assert_problem(status);
    }
    let plain = Request::post("/orders").header("content-type", "text/plain");
    let body = an_order().to_string();
    app.send(plain, &body).await.assert_problem(415);
    app.send(Request::post("/orders"), &body)
        .await
        .assert_problem(415);
    let huge = format!("{}{body}", " ".repeat(1024 * 1024));
    app.send(json_request(), &huge).await.assert_problem(413);

    assert_eq!(app.stored().await, (0, 0, 0));
    assert_eq!(app.feed.publish().await.expect("a cursor").sequence, 0);
}

async fn a_program_gets_the_type_that_a_field_has<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let number = "Send a whole number of at most 18 digits, without quotes, point or exponent.";
    let too_large: Value = serde_json::from_str("1180591620717411303424").expect("2^70");
    for (field, pointer, value, message) in [
        ("customer", "/customer", too_large.clone(), number),
        ("customer", "/customer", json!("1"), number),
        (
            "customer",
            "/customer",
            json!(null),
            "Send the number of a customer.",
        ),
        ("customer", "/customer", json!(3), "There is no customer 3."),
        ("orderLine[1].item", "/orderLine/1/item", json!(1.0), number),
        ("orderLine[1].item", "/orderLine/1/item", json!("1"), number),
        ("orderLine[1].item", "/orderLine/1/item", json!([1]), number),
        (
            "orderLine[1].item",
            "/orderLine/1/item",
            json!(null),
            "Send the number of an item.",
        ),
        (
            "orderLine[0].count",
            "/orderLine/0/count",
            json!("2"),
            number,
        ),
        (
            "orderLine[0].count",
            "/orderLine/0/count",
            json!(true),
            number,
        ),
        (
            "orderLine[0].count",
            "/orderLine/0/count",
            too_large,
            number,
        ),
        (
            "orderLine[0].count",
            "/orderLine/0/count",
            json!(0),
            "Enter a whole number from 1 to 1000000, without points or commas.",
        ),
        (
            "orderLine",
            "/orderLine",
            json!({"0": 1}),
            "Send a list of lines.",
        ),
        (
            "orderLine",
            "/orderLine",
            json!("none"),
            "Send a list of lines.",
        ),
        (
            "orderLine",
            "/orderLine",
            json!([]),
            "An order has 1 to 1,000 lines.",
        ),
        (
            "orderLine[1].item",
            "/orderLine/1",
            json!([1, 2]),
            "`orderLine[1]` must be an object.",
        ),
        (
            "shippingAddress.street",
            "/shippingAddress",
            json!("Rue 1"),
            "`shippingAddress` must be an object.",
        ),
        (
            "shippingAddress.street",
            "/shippingAddress",
            json!(null),
            "Enter a street.",
        ),
        (
            "billingAddress.zip",
            "/billingAddress/zip",
            json!(69001),
            "Send a text, in quotes.",
        ),
        (
            "billingAddress.zip",
            "/billingAddress/zip",
            json!(""),
            "Enter a ZIP code.",
        ),
    ] {
        let mut order = an_order();
        *order.pointer_mut(pointer).expect("a field") = value.clone();
        let answer = app.post_json(&order).await;
        answer.assert_problem(422);
        let first = &answer.json()["errors"][0];
        assert_eq!(
            *first,
            json!({"field": field, "message": message}),
            "{value}"
        );
    }
    assert_eq!(app.stored().await, (0, 0, 0));
}

async fn totals_are_exact<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    S::run(
        &app.database,
        "UPDATE items SET price_cents = 10 WHERE id = 3",
    )
    .await;
    let cases = [
        // Binary floats sum these to 299.99999999999.
        (json!(vec![json!({"item": 3, "count": 3}); 1_000]), "300.00"),
        (
            json!(vec![json!({"item": 1, "count": 1_000_000}); 1_000]),
            "42000000000.00",
        ),
        (
            json!([{"item": 3, "count": 7}, {"item": 2, "count": 1}]),
            "21.70",
        ),
    ];
    for (lines, total) in cases {
        let mut order = an_order();
        order["orderLine"] = lines;
        let order = app.post_json(&order).await.json();
        assert_eq!(order["total"].to_string(), total);
        let stored = app.json(&format!("/order/{}", order["id"])).await;
        assert_eq!(stored, order, "as it was answered");
        assert_eq!(app.json("/").await["orders"][0]["total"].to_string(), total);
    }
    S::run(&app.database, "UPDATE items SET price_cents = 100000000").await;
    let mut dearest = an_order();
    dearest["orderLine"] = json!(vec![json!({"item": 1, "count": 1_000_000}); 1_000]);
    let dearest = app.post_json(&dearest).await.json();
    assert_eq!(dearest["total"].to_string(), "1000000000000000.00");
}

async fn a_second_cancel_is_no_second_event<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let placed = app.place().await;
    let cancelled = app.delete("/order/1").await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(cancelled.json()["status"], "cancelled");
    let (was, is) = (placed["updated"].as_str(), cancelled.json());
    assert!(was <= is["updated"].as_str(), "updated never goes back");
    let again = app.delete("/order/1").await;
    assert_eq!((again.status, again.json()), (200, is.clone()));
    let button = app.post("/order/1/cancel").await;
    assert_eq!((button.status, button.header("location")), (303, "../1"));
    assert_eq!(app.json("/order/1").await, is);
    assert_eq!(app.stored().await, (1, 2, 2));
}

/// The order was placed by an instance whose clock is ahead.
async fn a_cancellation_is_never_before_the_order<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let placed = "2999-01-02T03:04:05.678Z";
    let ahead = format!("UPDATE orders SET placed = '{placed}', updated = '{placed}'");
    S::run(&app.database, &ahead).await;
    let cancelled = app.delete("/order/1").await.json();
    assert_eq!(
        (&cancelled["placed"], &cancelled["updated"]),
        (&json!(placed), &json!(placed))
    );
}

async fn a_missing_order_cannot_be_cancelled<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    for id in [
        "2",
        "0",
        "-1",
        "01",
        "+1",
        "one",
        "9223372036854775808",
        "%FF",
        "1%00",
    ] {
        let path = format!("/order/{id}");
        app.get(&path, "application/json").await.assert_problem(404);
        app.delete(&path).await.assert_problem(404);
        app.post(&format!("{path}/cancel"))
            .await
            .assert_problem(404);
    }
    assert_eq!(app.stored().await, (1, 2, 1));
}

async fn a_repeated_request_places_one_order<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let keyed = |key| json_request().header("Idempotency-Key", key);
    let body = an_order().to_string();

    let bad = body.replace("75005", "");
    app.send(keyed("one"), &bad).await.assert_problem(422);
    let first = app.send(keyed("one"), &body).await;
    assert_eq!(first.status, 201, "a refused order uses no key up");
    let again = app.send(keyed("one"), &body).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.body, first.body);

    let other = body.replace("Rue 1", "Rue 3");
    app.send(keyed("one"), &other).await.assert_problem(422);
    assert_eq!(app.stored().await, (1, 2, 1));
    assert_eq!(app.send(keyed("two"), &body).await.json()["id"], 2);

    let long = "k".repeat(256);
    for key in ["", long.as_str(), "schlüssel"] {
        app.send(keyed(key), &body).await.assert_problem(400);
    }
    let two = keyed("one").header("Idempotency-Key", "two");
    app.send(two, &body).await.assert_problem(400);
}

/// I1, from both sides.
async fn an_order_whose_event_fails_is_not_stored<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let placed = app.place().await;
    let outbox = S::OUTBOX;
    let rename = |from, to| format!("{} {from} RENAME TO {to}", S::ALTER_TABLE);
    S::run(&app.database, &rename(outbox, "hidden")).await;
    let keyed = || json_request().header("Idempotency-Key", "one");
    let body = an_order().to_string();
    app.send(keyed(), &body).await.assert_problem(503);
    app.delete("/order/1").await.assert_problem(503);
    S::run(&app.database, &rename("hidden", outbox)).await;

    assert_eq!(app.stored().await, (1, 2, 1));
    assert_eq!(app.json("/order/1").await, placed, "not cancelled either");
    assert_eq!(app.feed.publish().await.expect("a cursor").sequence, 1);
    assert_eq!(app.send(keyed(), &body).await.status, 201);
    assert_eq!(app.stored().await, (2, 4, 2));
}

async fn orders_survive_a_restart<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let placed = app.place().await;
    let app = App::<S>::open(url).await;
    assert_eq!(app.json("/order/1").await, placed);
    assert_eq!(app.place().await["id"], 2);
    assert_eq!(
        S::number(&app.database, "SELECT count(*) FROM items").await,
        4,
        "seeded once"
    );
    let list: Value = app.json("/").await;
    assert_eq!(list["count"], 2);
}

/// The fields that a problem document names.
fn fields(answer: &Answer) -> Vec<String> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|error| error["field"].as_str().expect("a field").to_owned())
        .collect()
}
