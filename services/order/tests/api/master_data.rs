//! Customers and items, by forms and by JSON. A change does not touch orders.

use axum::http::{Request, header};
use serde_json::json;

use crate::app::{App, Testable};

harness::on_both_databases! {
    a_customer_is_added_and_changed_by_forms
    an_item_is_added_and_changed_by_forms
    programs_do_the_same_by_json
    a_program_gets_the_type_that_a_field_has
    what_does_not_exist_is_missing_whatever_is_sent
    an_error_is_shown_at_its_field_and_changes_nothing
    a_change_does_not_touch_orders
    lists_are_searched_and_paged
    a_change_replaces_only_the_state_that_the_client_knows
    a_form_asks_before_it_undoes_what_was_changed_meanwhile
    invisible_names_and_controls_of_direction_are_refused
    a_request_of_another_site_is_refused
    an_addition_takes_no_parameters
    a_form_in_another_encoding_is_refused
}

const NAMES: [(&str, &str); 4] = [
    ("O'Brien", "O'Brien"),
    ("Müller", "Müller"),
    ("<b>", "&lt;b&gt;"),
    ("日本語", "日本語"),
];

async fn a_customer_is_added_and_changed_by_forms<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    assert!(
        app.page("/customers/new")
            .await
            .contains("action=\"/customers\"")
    );
    for (number, (name, shown)) in (3..).zip(NAMES) {
        let fields = [
            ("firstname", "Ada"),
            ("name", name),
            ("email", "ada@example.com"),
        ];
        let answer = app.post_form("/customers", &fields).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "customers")
        );
        let list = app.page("/customers").await;
        assert!(list.contains(&format!("Ada {shown}</a>")), "{list}");
        assert!(
            app.page("/form.html")
                .await
                .contains(&format!("Ada {shown}</option>"))
        );
        let form = app.page(&format!("/customers/{number}")).await;
        assert!(form.contains(&format!("value=\"{shown}\"")), "{form}");
    }
    let fields = [
        ("firstname", "Ada"),
        ("name", "King"),
        ("email", "ada@example.com"),
    ];
    let answer = app.post_form("/customers/3", &fields).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "../customers")
    );
    let list = app.page("/customers").await;
    assert!(list.contains("Ada King") && !list.contains("O'Brien"));
}

async fn an_item_is_added_and_changed_by_forms<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for (number, (name, shown)) in (5..).zip(NAMES) {
        let answer = app
            .post_form("/items", &[("name", name), ("price", "12.5")])
            .await;
        assert_eq!((answer.status, answer.header("location")), (303, "items"));
        let list = app.page("/items").await;
        assert!(list.contains(&format!("{shown}</a>")) && list.contains("12.50 EUR"));
        let form = app.page(&format!("/items/{number}")).await;
        assert!(form.contains(&format!("value=\"{shown}\"")) && form.contains("value=\"12.50\""));
    }
    let answer = app
        .post_form("/items/5", &[("name", "Tea"), ("price", "0")])
        .await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "../items")
    );
    assert!(app.page("/form.html").await.contains("Tea, 0.00 EUR"));
}

async fn programs_do_the_same_by_json<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let send = async |method: &str, path: &str, body: serde_json::Value| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        app.send(request, &body.to_string()).await
    };
    let ada = json!({"firstname": "Ada", "name": "King", "email": "ada@example.com"});
    let answer = send("POST", "/customers", ada).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(
        answer.header("location"),
        "http://127.0.0.1:8081/customers/3"
    );
    assert_eq!(answer.json()["customerId"], 3);
    assert_eq!(app.json("/customers/3").await["name"], "King");

    let answer = send("POST", "/items", json!({"name": "Tea", "price": 12.50})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body, r#"{"itemId":5,"name":"Tea","price":12.50}"#);
    let answer = send("PUT", "/items/5", json!({"name": "Tea", "price": "13"})).await;
    assert_eq!(
        (answer.status, answer.json()["price"].to_string()),
        (200, "13.00".to_owned())
    );
    assert_eq!(app.json("/items/5").await, answer.json());

    // An exponent is JSON, and nothing that a person writes.
    for (price, status) in [
        ("1.3e1", 200),
        ("\"1.3e1\"", 422),
        // Never rounded.
        ("12.4999999999999999999999999999999999999e0", 422),
        ("12.4999999999999999999999999999999999999", 422),
        ("1.30000000000000000000000000000000000001e1", 422),
        ("13e-40", 422),
    ] {
        let request = Request::put("/items/5").header(header::CONTENT_TYPE, "application/json");
        let body = format!(r#"{{"name":"Tea","price":{price}}}"#);
        assert_eq!(app.send(request, &body).await.status, status, "{price}");
    }
    assert_eq!(app.json("/items/5").await["price"].to_string(), "13.00");

    let answer = send("PUT", "/items/5", json!({"name": 7, "price": -1})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["errors"][0]["field"], "name");
    assert_eq!(answer.json()["errors"][1]["field"], "price");
    for (path, status) in [("/items/99", 404), ("/customers/99", 404)] {
        assert_eq!(app.get(path, "application/json").await.status, status);
        let body = json!({"firstname": "A", "name": "B", "email": "a@b", "price": 1});
        assert_eq!(send("PUT", path, body).await.status, status);
    }
    for rubbish in [json!(null), json!([1]), json!("Tea")] {
        assert_eq!(send("POST", "/items", rubbish).await.status, 422);
    }
    assert_eq!(app.json("/items").await["count"], 5);
}

async fn a_program_gets_the_type_that_a_field_has<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let text = "Send a text, in quotes.";
    let price = "Enter a price from 0.00 to 1000000.00, with a point before the cents and without commas, such as \
                 12.50.";
    for (path, body, expected) in [
        (
            "/customers",
            json!({"firstname": 1, "name": ["King"], "email": null}),
            &[text, text, "Enter an e-mail address."][..],
        ),
        (
            "/items",
            json!({"name": true, "price": [1]}),
            &[text, "Send a number, or a text with a number."],
        ),
        (
            "/items",
            json!({"name": "", "price": -1}),
            &["Enter a name.", price],
        ),
        (
            "/items",
            json!({"name": "", "price": "x"}),
            &["Enter a name.", price],
        ),
        ("/items", json!({}), &["Enter a name.", price]),
    ] {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let answer = app.send(request, &body.to_string()).await;
        answer.assert_problem(422);
        let problem = answer.json();
        let errors = problem["errors"].as_array().expect("errors");
        let messages: Vec<_> = errors
            .iter()
            .map(|error| error["message"].as_str())
            .collect();
        let expected: Vec<_> = expected.iter().copied().map(Some).collect();
        assert_eq!(messages, expected, "{body}");
    }
    for path in ["/customers", "/items"] {
        for body in ["null", "[]", "[{}]", "1"] {
            let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
            let answer = app.send(request, body).await;
            answer.assert_problem(422);
            let problem = answer.json();
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.contains("no object"), "{path} {body}: {detail}");
        }
    }
}

async fn what_does_not_exist_is_missing_whatever_is_sent<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let customer = r#"{"firstname": "Ada", "name": "King", "email": "ada@example.com"}"#;
    for path in ["/customers/999", "/items/999"] {
        for (method, media_type, body) in [
            ("PUT", "application/json", "{}"),
            ("PUT", "application/json", "[]"),
            ("PUT", "application/json", "{"),
            ("PUT", "application/json", customer),
            ("PUT", "application/json", r#"{"name": "Tea", "price": 1}"#),
            ("PUT", "text/plain", "Tea"),
            ("POST", "application/x-www-form-urlencoded", ""),
            (
                "POST",
                "application/x-www-form-urlencoded",
                "name=Tea&price=1&version=x",
            ),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request.header(header::CONTENT_TYPE, media_type);
            let answer = app.send(request, body).await;
            assert_eq!(
                answer.status, 404,
                "{method} {path} {body}: {}",
                answer.body
            );
        }
    }
}

async fn an_error_is_shown_at_its_field_and_changes_nothing<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let fields = [("firstname", "<b>"), ("name", "\0"), ("email", "nobody")];
    for path in ["/customers", "/customers/1"] {
        let answer = app.post_form(path, &fields).await;
        assert_eq!(answer.status, 422);
        let page = answer.body;
        assert!(
            page.contains("value=\"&lt;b&gt;\""),
            "what was typed is kept"
        );
        for field in ["name", "email"] {
            assert!(
                page.contains(&format!("aria-describedby=\"{field}-error\"")),
                "{page}"
            );
            assert!(page.contains(&format!("<a href=\"#{field}\">")), "{page}");
        }
        assert!(!page.contains("firstname-error"));
    }
    let answer = app
        .post_form("/items/1", &[("name", " "), ("price", "1,50")])
        .await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("value=\"1,50\"") && answer.body.contains("such as 12.50"));
    let answer = app
        .post_form("/items/1", &[("name", "iPod"), ("price", "1e3")])
        .await;
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .body
            .contains("with a point before the cents and without commas")
    );
    assert_eq!(app.json("/customers").await["count"], 2);
    assert_eq!(app.json("/customers/1").await["name"], "Wolff");
    assert_eq!(app.json("/items/1").await["name"], "iPod");
}

async fn a_change_does_not_touch_orders<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let before = app.place().await;
    let feed = app.feed().await;
    app.post_form("/items/1", &[("name", "Walkman"), ("price", "1")])
        .await;
    let fields = [("firstname", "X"), ("name", "Y"), ("email", "x@y")];
    app.post_form("/customers/1", &fields).await;
    assert_eq!(app.json("/order/1").await, before);
    assert_eq!(app.feed().await, feed);
    let after = app.place().await;
    assert_eq!(after["customer"]["name"], "Y");
    assert_eq!(after["orderLine"][0]["item"]["name"], "Walkman");
}

async fn lists_are_searched_and_paged<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for n in 0..51 {
        let fields = [
            ("firstname", "Ada"),
            ("name", &format!("No{n}")[..]),
            ("email", "ada@x"),
        ];
        app.post_form("/customers", &fields).await;
    }
    let page = app.page("/customers?q=ADA").await;
    assert!(page.contains("51 customers found"));
    assert!(
        page.contains("href=\"/customers?before=4&amp;q=ADA\""),
        "{page}"
    );
    assert!(app.page("/customers?before=4&q=ADA").await.contains("No0"));
    assert_eq!(
        app.json("/customers?q=2").await["count"],
        15,
        "No2, No12, …, No20, …, and number 2"
    );
    assert_eq!(
        app.json("/items?q=ipod+T").await["items"][0]["name"],
        "iPod touch"
    );
    assert!(
        app.page("/items?q=%3Cb%3E")
            .await
            .contains("No items match “<bdi>&lt;b&gt;</bdi>”.")
    );
    assert_eq!(app.json("/items?q=%25").await["count"], 0, "no pattern");
    for path in ["/items?q=%00", "/customers?q=%07", "/?q=%00"] {
        assert_eq!(
            app.get(path, "application/json").await.status,
            400,
            "{path}"
        );
    }
}

/// The version that a form sends.
fn version(page: &str) -> String {
    let rest = page
        .split("name=\"version\" value=\"")
        .nth(1)
        .expect("a version");
    rest.split('"').next().expect("a value").to_owned()
}

async fn a_form_asks_before_it_undoes_what_was_changed_meanwhile<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for (path, [one, two]) in [
        (
            "/items/1",
            [
                [("name", "One"), ("price", "1.00"), ("", "")],
                [("name", "<Two>"), ("price", "42.00"), ("", "")],
            ],
        ),
        (
            "/customers/1",
            ["One", "<Two>"]
                .map(|name| [("firstname", "Eberhard"), ("name", name), ("email", "e@x")]),
        ),
    ] {
        assert!(
            !app.page(&path.replace("1", "new"))
                .await
                .contains("\"version\"")
        );
        let opened = version(&app.page(path).await);
        let send = async |fields: &[(&str, &str)], version: &str| {
            app.post_form(path, &[fields, &[("version", version)]].concat())
                .await
        };
        assert_eq!(send(&one, &opened).await.status, 303);
        // The same once more, as by a second click, undoes nothing.
        assert_eq!(send(&one, &opened).await.status, 303);

        let wrong = send(&[("name", ""), ("firstname", "")], &opened).await;
        assert_eq!((wrong.status, version(&wrong.body)), (422, opened.clone()));
        let answer = send(&two, &opened).await;
        assert_eq!(answer.status, 409);
        let page = answer.body;
        assert!(
            page.contains("this was changed after you had opened it"),
            "{page}"
        );
        assert!(page.contains("<a href=\"#name\">Name</a>: Stored now: “\u{2068}One\u{2069}”."));
        assert!(
            page.contains("name=\"name\" value=\"&lt;Two&gt;\""),
            "{page}"
        );
        assert!(
            !page.contains("firstname-error") && !page.contains("email-error"),
            "{page}"
        );
        assert_eq!(app.json(path).await["name"], "One");

        assert_eq!(send(&two, &version(&page)).await.status, 303);
        assert_eq!(app.json(path).await["name"], "<Two>");
        // A form that does not say what it knows replaces whatever there is, as before.
        assert_eq!(app.post_form(path, &one).await.status, 303);
        let missing = path.replace('1', "99");
        let gone = app
            .post_form(&missing, &[&one[..], &[("version", "x")]].concat())
            .await;
        assert_eq!(gone.status, 404);
    }
    let page = app.page("/items/1").await;
    let last = [("name", "Two"), ("price", "2.5"), ("version", "stale")];
    let answer = app.post_form("/items/1", &last).await.body;
    assert!(answer.contains("Stored now: “\u{2068}1.00\u{2069}”.") && page.contains("1.00"));
}

async fn invisible_names_and_controls_of_direction_are_refused<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for name in [
        "\u{202e}god",
        "a\u{2069}",
        "\u{200b}",
        "\u{2060} \u{feff}",
        "\u{2028}a",
    ] {
        let fields = [("firstname", "Ada"), ("name", name), ("email", "a@x")];
        assert_eq!(
            app.post_form("/customers", &fields).await.status,
            422,
            "{name:?}"
        );
        let fields = [("name", name), ("price", "1")];
        assert_eq!(
            app.post_form("/items", &fields).await.status,
            422,
            "{name:?}"
        );
        let mut order = crate::app::an_order();
        order["shippingAddress"]["city"] = json!(name);
        app.post_json(&order).await.assert_problem(422);
    }
    for name in ["محمد", "\u{200f}דוד\u{200f}", "می\u{200c}خواهم"] {
        let fields = [("firstname", "Ada"), ("name", name), ("email", "a@x")];
        assert_eq!(
            app.post_form("/customers", &fields).await.status,
            303,
            "{name:?}"
        );
    }
    // What older versions have stored, and right-to-left names, garble nothing beside them.
    S::run(
        &app.database,
        "UPDATE customers SET name = '\u{202e}ffloW' WHERE id = 1",
    )
    .await;
    app.place().await;
    let page = app.page("/order/1/cancel").await;
    assert!(
        page.contains("of <bdi>Eberhard \u{202e}ffloW</bdi> over <data"),
        "{page}"
    );
    let page = app.page("/order/1").await;
    assert!(page.contains("<bdi>75005</bdi> <bdi>Paris</bdi>"), "{page}");
}

async fn a_request_of_another_site_is_refused<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    for path in ["/", "/customers", "/items/1", "/order/1/cancel", "/orders"] {
        let request = Request::post(path)
            .header("origin", "https://evil.example")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = app.send(request, "name=Tea&price=1").await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(app.json("/order/1").await["status"], "placed");
}

async fn a_change_replaces_only_the_state_that_the_client_knows<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let put = async |path: &str, headers: &[(&str, &str)], body: &serde_json::Value| {
        let mut request = Request::put(path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.send(request, &body.to_string()).await
    };
    let customer = |name: &str| json!({"firstname": "Ada", "name": name, "email": "a@x"});
    let item = |name: &str| json!({"name": name, "price": 1});
    for (path, [one, two, three]) in [
        ("/customers/1", ["One", "Two", "Three"].map(customer)),
        ("/items/1", ["One", "Two", "Three"].map(item)),
    ] {
        let known = app.get(path, "application/json").await;
        let tag = known.header("etag").to_owned();
        assert!(tag.starts_with('"'), "{tag} is not strong");
        let again = Request::get(path).header("accept", "application/json");
        let again = app.send(again.header("if-none-match", &tag), "").await;
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));

        let changed = put(path, &[("if-match", &tag)], &one).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let new = changed.header("etag").to_owned();
        let now = app.get(path, "application/json").await;
        assert_eq!(now.header("etag"), new);
        assert_ne!(new, tag);
        // Another client has changed it meanwhile.
        for condition in [
            ("if-match", &*tag),
            ("if-match", &format!("W/{new}")),
            ("if-none-match", "*"),
            ("if-none-match", &new),
        ] {
            put(path, &[condition], &two).await.assert_problem(412);
        }
        assert_eq!(app.json(path).await["name"], "One");
        assert_eq!(put(path, &[("if-match", "*")], &two).await.status, 200);
        assert_eq!(put(path, &[], &three).await.status, 200);
        let missing = path.replace('1', "99");
        put(&missing, &[("if-match", &new)], &one)
            .await
            .assert_problem(404);
        let page = app.get(path, "text/html").await;
        assert_ne!(page.header("etag"), new);
    }
    let added = app
        .post_form("/items", &[("name", "x"), ("price", "1")])
        .await;
    assert_eq!(added.status, 303);
    let create = Request::post("/items").header(header::CONTENT_TYPE, "application/json");
    let created = app.send(create, &item("Tea").to_string()).await;
    let shown = app.get("/items/6", "application/json").await;
    assert_eq!(created.header("etag"), shown.header("etag"));
}

async fn an_addition_takes_no_parameters<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let item = [("name", "Tea"), ("price", "1")];
    for path in ["/?dry_run=1", "/items?q=Tea", "/customers?x"] {
        let answer = app.post_form(path, &item).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
    }
    assert_eq!(app.post_form("/items", &item).await.status, 303);
    assert_eq!(app.send(Request::put("/items"), "").await.status, 405);
}

async fn a_form_in_another_encoding_is_refused<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for name in ["Stra%DFe", "%C3", "%ED%A0%80"] {
        let form = format!("name={name}&price=1");
        let answer = app.post_raw_form("/items", &form).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.body);
        assert!(answer.body.contains("could not be read"), "{}", answer.body);
    }
    let form = "name=Stra%C3%9Fe&price=1";
    let answer = app.post_raw_form("/items", form).await;
    assert_eq!(answer.status, 303);
    assert_eq!(app.json("/items/5").await["name"], "Straße");
}
