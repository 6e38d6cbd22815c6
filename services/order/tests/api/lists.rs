//! Lists select by search, status, day and customer, and refuse what they do not know.

use axum::http::Request;
use harness::Answer;
use serde_json::{Value, json};

use crate::app::{App, Testable, an_order};

harness::on_both_databases! {
    a_parameter_that_does_not_exist_is_refused_by_name
    orders_are_selected_by_status_day_and_customer
    a_selection_stays_on_all_its_pages
    days_are_paged_by_time_also_where_a_clock_went_back
    a_number_finds_the_order_with_that_number_alone
    a_search_ignores_case_in_any_script
    a_search_finds_words_in_any_order
    a_cancellation_is_confirmed_first
}

/// The detail of a `400`.
fn detail(answer: &Answer) -> String {
    answer.assert_problem(400);
    let problem = answer.json();
    problem["detail"].as_str().expect("a detail").to_owned()
}

/// The numbers of the orders on a page, newest first.
fn ids(list: &Value) -> Vec<i64> {
    let orders = list["orders"].as_array().expect("orders");
    let ids = orders.iter().map(|order| order["id"].as_i64());
    ids.map(|id| id.expect("a number")).collect()
}

async fn a_parameter_that_does_not_exist_is_refused_by_name<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    for (path, named) in [
        (
            "/?statsu=cancelled",
            "`statsu` is not a parameter of this list; use `before`, `q`, `status`, `from`, `to` \
             or `customer`",
        ),
        (
            "/customers?name=x",
            "`name` is not a parameter of this list; use `before` or `q`",
        ),
        ("/items?status=placed", "`status` is not a parameter"),
        (
            "/?status=shipped",
            "`status=shipped` does not exist; use placed or cancelled",
        ),
        ("/?from=yesterday", "`from=yesterday` is no day"),
        ("/?to=2026-02-30", "`to=2026-02-30` is no day"),
        ("/?customer=Wolff", "`customer=Wolff` is no number"),
        ("/?q=a&q=b", "`q` is given twice"),
        (
            "/order/1?status=placed",
            "`status` is not a parameter of this address, which takes none",
        ),
        ("/order/1/cancel?really=yes", "`really` is not a parameter"),
        ("/customers/1?x", "`x` is not a parameter"),
        ("/customers/new?name=x", "`name` is not a parameter"),
        ("/items/1?x=", "`x` is not a parameter"),
        ("/form.html?customer=1", "`customer` is not a parameter"),
    ] {
        let detail = detail(&app.get(path, "application/json").await);
        assert!(detail.contains(named), "{path}: {detail}");
    }
    for request in [
        Request::delete("/order/1?if=unpaid"),
        Request::post("/order/1/cancel?if=unpaid"),
    ] {
        app.send(request, "").await.assert_problem(400);
    }
    assert_eq!(app.json("/order/1").await["status"], "placed");
    let page = app.get("/?statsu=x", "text/html").await;
    assert!(page.status == 400 && page.body.contains("<code>statsu</code>"));
}

/// Orders 1 to 6 of customers 1 and 2 in turn, each a day after the one before; 3 and 4 are cancelled.
async fn six_orders<S: Testable>(app: &App<S>) {
    for number in 1..=6 {
        let mut order = an_order();
        order["customer"] = json!(2 - number % 2);
        assert_eq!(app.post_json(&order).await.status, 201);
        let at = match number {
            // The last moment of a day, and the first one of the next.
            3 => "2026-01-03T23:59:59.999Z".to_owned(),
            4 => "2026-01-04T00:00:00.000Z".to_owned(),
            _ => format!("2026-01-0{number}T12:00:00.000Z"),
        };
        let set = format!("UPDATE orders SET placed = '{at}' WHERE id = {number}");
        S::run(&app.database, &set).await;
    }
    for number in [3, 4] {
        assert_eq!(app.delete(&format!("/order/{number}")).await.status, 200);
    }
}

async fn orders_are_selected_by_status_day_and_customer<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    six_orders(&app).await;
    for (query, expected) in [
        ("", &[6, 5, 4, 3, 2, 1][..]),
        ("status=cancelled", &[4, 3]),
        ("status=placed", &[6, 5, 2, 1]),
        ("customer=2", &[6, 4, 2]),
        ("customer=99", &[]),
        ("from=2026-01-04", &[6, 5, 4]),
        ("to=2026-01-03", &[3, 2, 1]),
        ("from=2026-01-03&to=2026-01-04", &[4, 3]),
        ("from=2026-01-04&to=2026-01-03", &[]),
        ("to=9999-12-31", &[6, 5, 4, 3, 2, 1]),
        (
            "status=cancelled&customer=1&from=2026-01-01&to=2026-12-31",
            &[3],
        ),
        ("q=johnson&status=cancelled", &[4]),
        ("q=&status=&from=&to=&customer=", &[6, 5, 4, 3, 2, 1]),
        ("status=placed&before=5", &[2, 1]),
    ] {
        let list = app.json(&format!("/?{query}")).await;
        assert_eq!(ids(&list), expected, "{query}");
        if !query.contains("before") {
            assert_eq!(list["count"], expected.len(), "{query}");
        }
    }
    let list = app.json("/?customer=1&to=2026-01-03&from=2026-01-03").await;
    assert_eq!(list["orders"][0]["placed"], "2026-01-03T23:59:59.999Z");
    let page = app.page("/?status=cancelled&from=2026-01-04").await;
    assert!(page.contains("1 order found") && page.contains("Order 4</a>"));
    assert!(page.contains("<option value=\"cancelled\" selected>Cancelled</option>"));
    assert!(page.contains("type=\"date\"") && page.contains("value=\"2026-01-04\""));
    let none = app.page("/?status=cancelled&customer=99").await;
    assert!(none.contains("No orders match all of this.") && none.contains("Show all orders"));
    let customer = app.page("/customers/2").await;
    assert!(customer.contains("<a href=\"/?customer=2\">Orders of this customer</a>"));
}

async fn a_selection_stays_on_all_its_pages<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for _ in 0..51 {
        app.place().await;
    }
    let query = "customer=1&status=placed";
    let first = app.json(&format!("/?{query}")).await;
    let next = first["_links"]["next"]["href"].as_str().expect("a link");
    assert_eq!(
        next,
        "http://127.0.0.1:8081/?before=2&status=placed&customer=1"
    );
    let last = app.json("/?before=2&status=placed&customer=1").await;
    assert_eq!((ids(&last), &last["count"]), (vec![1], &json!(51)));
    let page = app.page(&format!("/?{query}")).await;
    assert!(page.contains("href=\"/?before=2&amp;status=placed&amp;customer=1\">Older orders"));
    let page = app.page("/?before=2&status=placed&customer=1").await;
    assert!(page.contains("href=\"/?status=placed&amp;customer=1\">Newest orders"));
}

/// Two clocks: each order is placed before the one with the number below it, as it says.
async fn days_are_paged_by_time_also_where_a_clock_went_back<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for _ in 0..53 {
        app.place().await;
    }
    for number in 1..=53 {
        let minute = 60 - number;
        let set = format!(
            "UPDATE orders SET placed = '2026-01-02T10:{minute:02}:00.000Z' WHERE id = {number}"
        );
        S::run(&app.database, &set).await;
    }
    let outside = "UPDATE orders SET placed = '2026-01-01T10:00:00.000Z' WHERE id = 53";
    S::run(&app.database, outside).await;
    let first = app.json("/?from=2026-01-02&status=placed").await;
    let next = first["_links"]["next"]["href"].as_str().expect("a link");
    let last = app.json(&next.replace("http://127.0.0.1:8081", "")).await;
    let all = [ids(&first), ids(&last)].concat();
    assert_eq!(all, (1..=52).collect::<Vec<_>>());
    assert_eq!(last["_links"], json!({}));
    assert_eq!(ids(&app.json("/?to=2026-01-01&before=99").await), [53]);
    // There is no such order: the list does not begin again.
    for before in ["0", "-1", "-9223372036854775808"] {
        let none = app
            .json(&format!("/?from=2026-01-02&before={before}"))
            .await;
        assert_eq!(ids(&none), [0; 0], "{before}");
    }
    S::run(&app.database, "DELETE FROM order_line WHERE order_id = 4").await;
    S::run(&app.database, "DELETE FROM orders WHERE id = 4").await;
    let below = app.json("/?from=2026-01-02&before=4").await;
    assert_eq!(ids(&below), [1, 2, 3]);
}

async fn a_number_finds_the_order_with_that_number_alone<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let fields = [
        ("firstname", "Customer"),
        ("name", "Number 2"),
        ("email", "customer2@example.com"),
    ];
    app.post_form("/customers", &fields).await;
    let mut order = an_order();
    order["customer"] = json!(3);
    for _ in 0..3 {
        assert_eq!(app.post_json(&order).await.status, 201);
    }
    assert_eq!(ids(&app.json("/?q=2").await), [2]);
    assert_eq!(ids(&app.json("/?q=7").await), [0; 0]);
    assert_eq!(ids(&app.json("/?q=number+2").await), [3, 2, 1]);
    assert_eq!(ids(&app.json("/?customer=3").await), [3, 2, 1]);
    assert_eq!(ids(&app.json("/?customer=2").await), [0; 0]);
}

async fn a_search_ignores_case_in_any_script<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let names = [
        ("Éclair", "éclair"),
        ("Groß", "groß"),
        ("ЧЕХОВ", "Чехов"),
        ("Σίσυφος", "σίσυφοσ"),
        ("*[a-z]?.%_\\", "x"),
    ];
    for (number, (name, item)) in (3..).zip(names) {
        let fields = [("firstname", "A"), ("name", name), ("email", "a@x")];
        assert_eq!(app.post_form("/customers", &fields).await.status, 303);
        let fields = [("name", item), ("price", "1")];
        assert_eq!(app.post_form("/items", &fields).await.status, 303);
        let mut order = an_order();
        order["customer"] = json!(number);
        assert_eq!(app.post_json(&order).await.status, 201);
    }
    for (text, order) in [
        ("ÉCLAIR", Some(1)),
        ("éclair", Some(1)),
        ("eclair", None),
        ("groß", Some(2)),
        ("GROSS", Some(2)),
        ("GROẞ", Some(2)),
        ("чехов", Some(3)),
        ("ΣΊΣΥΦΟΣ", Some(4)),
        ("[A-Z]?.", Some(5)),
        ("%_\\", Some(5)),
        ("*[b", None),
        (".*", None),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", text)
            .finish();
        let expected = Vec::from_iter(order);
        assert_eq!(
            ids(&app.json(&format!("/?{query}")).await),
            expected,
            "{text}"
        );
        let customers = app.json(&format!("/customers?{query}")).await;
        assert_eq!(customers["count"], expected.len(), "{text}");
        if order.is_some_and(|order| order < 5) {
            let items = app.json(&format!("/items?{query}")).await;
            assert_eq!(items["count"], 1, "{text}");
        }
    }
}

async fn a_search_finds_words_in_any_order<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for (firstname, name) in [("花子", "山田"), ("Hasan", "İbrahim")] {
        let fields = [("firstname", firstname), ("name", name), ("email", "a@x")];
        assert_eq!(app.post_form("/customers", &fields).await.status, 303);
    }
    for customer in 1..=4 {
        let mut order = an_order();
        order["customer"] = json!(customer);
        assert_eq!(app.post_json(&order).await.status, 201);
    }
    for (text, expected) in [
        ("Wolff Eberhard", &[1][..]),
        ("eberhard wolff", &[1]),
        ("wolff  example.com", &[1]),
        ("Wolff Rod", &[]),
        ("山田 花子", &[3]),
        ("山田\u{3000}花子", &[3]),
        ("花子 山田", &[3]),
        ("ibrahim hasan", &[4]),
        ("İBRAHİM", &[4]),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", text)
            .finish();
        assert_eq!(
            ids(&app.json(&format!("/?{query}")).await),
            expected,
            "{text}"
        );
        let customers = app.json(&format!("/customers?{query}")).await;
        assert_eq!(customers["count"], expected.len(), "{text}");
    }
    assert_eq!(app.json("/items?q=touch+ipod").await["count"], 1);
}

async fn a_cancellation_is_confirmed_first<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let page = app.page("/order/1").await;
    assert!(page.contains("href=\"/order/1/cancel\"") && !page.contains("method=\"post\""));
    let question = app.page("/order/1/cancel").await;
    for text in [
        "Cancel order 1?",
        "105.00 EUR",
        "cannot be undone",
        "method=\"post\" action=\"/order/1/cancel\"",
        "<a class=\"button plain\" href=\"/order/1\">Keep it</a>",
    ] {
        assert!(question.contains(text), "{text}: {question}");
    }
    assert_eq!(app.json("/order/1").await["status"], "placed");
    let answer = app.post("/order/1/cancel").await;
    assert_eq!((answer.status, answer.header("location")), (303, "../1"));
    let question = app.page("/order/1/cancel").await;
    assert!(question.contains("cancelled already") && !question.contains("<button"));
    let missing = app.get("/order/2/cancel", "text/html").await;
    assert_eq!(missing.status, 404);
}
