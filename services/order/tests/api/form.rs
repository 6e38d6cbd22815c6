//! The form, as a browser without scripts sends it: no value is lost.

use crate::app::{App, Testable};

harness::on_both_databases! {
    a_blank_form_offers_customers_and_items
    a_filled_form_becomes_an_order
    an_error_is_shown_at_its_field_and_no_value_is_lost
    a_price_that_was_changed_meanwhile_is_shown_before_it_is_charged
    a_name_that_was_changed_meanwhile_is_shown_before_it_is_ordered
    lines_are_added_and_removed_and_other_values_stay
    the_total_is_that_of_the_lines_so_far
    no_order_is_placed_with_less_than_was_sent
    a_form_places_one_order_however_often_it_is_sent
    rubbish_is_refused_without_an_internal_error
    any_of_many_customers_and_items_can_be_ordered
    a_form_with_many_lines_and_many_items_is_not_their_product
    a_form_has_as_many_lines_as_an_order_may_have
}

/// A text that a page must escape.
const HOSTILE: &str = r#"<b>O'Brien & "Müller" 日本語"#;
const ESCAPED: &str = "&lt;b&gt;O'Brien &amp; &quot;Müller&quot; 日本語";

const FILLED: [(&str, &str); 9] = [
    ("customer", "2"),
    ("shippingAddress.street", HOSTILE),
    ("shippingAddress.zip", "D-10115"),
    ("shippingAddress.city", "Berlin"),
    ("billingAddress.street", " 5th Ave 1 "),
    ("billingAddress.zip", "10001"),
    ("billingAddress.city", "New York"),
    ("orderLine[0].item", "4"),
    ("orderLine[0].count", "3"),
];

/// The filled form with another value in one field.
fn filled_but<'a>(field: &str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    let replace =
        |(name, old): (&'static str, &'static str)| (name, if name == field { value } else { old });
    FILLED.into_iter().map(replace).collect()
}

async fn a_blank_form_offers_customers_and_items<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let page = app.page("/form.html").await;
    for (name, _) in FILLED {
        assert_eq!(
            page.matches(&format!(r#"name="{name}""#)).count(),
            1,
            "{name}"
        );
    }
    assert!(page.contains(r#"<option value="1 Eberhard Wolff">Eberhard Wolff</option>"#));
    let item = r#"<option value="4 Apple TV, 100.00 EUR" data-cents="10000">"#;
    assert!(page.contains(&format!("{item}Apple TV\u{200e}, 100.00 EUR</option>")));
    assert!(page.contains(r#"<form id="order" method="post" action="/""#));
    assert!(!page.contains("aria-invalid") && !page.contains("role=\"alert\""));
    let labels = page.matches("<label for=").count();
    assert_eq!(
        labels,
        FILLED.len() + 1,
        "each field has its label, and the total"
    );
}

async fn a_filled_form_becomes_an_order<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let mut fields = FILLED.to_vec();
    // With a gap, and out of order; an unknown name is ignored.
    fields.extend([
        ("orderLine[17].count", "1"),
        ("orderLine[5].item", "3"),
        ("orderLine[5].count", " 2 "),
        ("orderLine[17].item", "2"),
        ("submit", "yes"),
    ]);
    let answer = app.post_form("/", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), "order/1");
    let order = app.json("/order/1").await;
    assert_eq!(order["customer"]["name"], "Johnson");
    assert_eq!(order["shippingAddress"]["street"], HOSTILE);
    assert_eq!(order["billingAddress"]["street"], "5th Ave 1", "trimmed");
    let sold: Vec<_> = order["orderLine"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| (line["count"].as_i64(), line["item"]["itemId"].as_i64()))
        .collect();
    assert_eq!(
        sold,
        [(Some(3), Some(4)), (Some(2), Some(3)), (Some(1), Some(2))]
    );
    assert_eq!(order["total"].to_string(), "323.00");

    let page = app.page("/order/1").await;
    assert!(page.contains(ESCAPED) && !page.contains("<b>"));
    assert!(page.contains("323.00 EUR") && page.contains("Cancel this order"));
    assert!(app.page("/").await.contains("Rod Johnson"));
    app.post("/order/1/cancel").await;
    assert!(!app.page("/order/1").await.contains("Cancel this order"));
}

const COUNT: &str = "Enter a whole number from 1 to 1000000, without points or commas.";
const CONTROL: &str = "Remove tabs, line breaks and other control characters, also invisible ones that change the \
                       direction of text.";

async fn an_error_is_shown_at_its_field_and_no_value_is_lost<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let cases = [
        ("customer", "77", "There is no customer 77."),
        ("customer", "", "Choose a customer."),
        ("shippingAddress.zip", "", "Enter a ZIP code."),
        ("billingAddress.city", "a\u{7}b", CONTROL),
        ("shippingAddress.city", "\u{202e}nilreB", CONTROL),
        ("billingAddress.street", "a\u{2066}b", CONTROL),
        ("billingAddress.city", "\u{200b}", "Enter a city."),
        ("shippingAddress.zip", "\u{3164}", "Enter a ZIP code."),
        ("orderLine[0].item", "<i>", "Choose an item."),
        ("orderLine[0].count", "many", COUNT),
        ("orderLine[0].count", "0", COUNT),
        ("orderLine[0].count", "1,000", COUNT),
        ("orderLine[0].count", "1.000", COUNT),
        ("orderLine[0].count", "1e3", COUNT),
        (
            "orderLine[0].item",
            "7 Tea, 1.00 EUR",
            "There is no item 7.",
        ),
    ];
    for (field, value, message) in cases {
        let fields = filled_but(field, value);
        let answer = app.post_form("/", &fields).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        let page = answer.body;
        let id = field.replace(['.', '['], "-").replace(']', "");
        let error = format!(r#"<p class="error" id="{id}-error">{message}</p>"#);
        assert!(page.contains(&error), "{error} in {page}");
        assert_eq!(
            page.matches(r#"class="error""#).count(),
            1,
            "no other field is blamed"
        );
        let marked = format!(r#"aria-invalid="true" aria-describedby="{id}-error""#);
        assert!(page.contains(&marked));
        assert!(
            page.contains(&format!(r##"<a href="#{id}">"##)),
            "the summary leads there"
        );
        assert_kept(&page, &fields);
    }
    assert_eq!(app.stored().await, (0, 0, 0));
}

/// Fails unless the form shows each of these values.
fn assert_kept(page: &str, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        let field = page.split(&format!(r#"name="{name}""#)).nth(1);
        let field = field.unwrap_or_else(|| panic!("{name} is on the page"));
        let value = value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        let kept = if name.ends_with("customer") || name.ends_with("item") {
            let options = field.split("</select>").next().unwrap_or_default();
            let mut options = options.split("<option value=\"");
            let chosen = options.find_map(|option| Some(option.split_once("\" selected")?.0));
            let (id, _) = value.split_once(' ').unwrap_or((&value, ""));
            // The number alone, or what the form shows of it now.
            let is_it = |chosen: &str| chosen == value || chosen.starts_with(&format!("{id} "));
            value.is_empty() || chosen.is_some_and(is_it)
        } else {
            field.starts_with(&format!(r#" value="{value}""#))
        };
        assert!(
            kept,
            "{name} keeps {value}: {}",
            &field[..field.len().min(300)]
        );
    }
}

/// The values that the chosen options of a form send.
fn chosen(page: &str) -> Vec<String> {
    let options = page.split("<option value=\"").skip(1);
    let chosen = options.filter_map(|option| option.split_once("\" selected"));
    let text = |value: &str| value.replace("&lt;", "<").replace("&gt;", ">");
    chosen.map(|(value, _)| text(value)).collect()
}

async fn a_price_that_was_changed_meanwhile_is_shown_before_it_is_charged<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let shown = "4 Apple TV, 100.00 EUR";
    assert!(
        app.page("/form.html")
            .await
            .contains(&format!("value=\"{shown}\""))
    );
    let mut fields = filled_but("orderLine[0].item", shown);
    fields[0].1 = "2 Rod Johnson";
    fields.push(("key", "one"));
    let item = [("name", "Apple TV"), ("price", "99.00")];
    assert_eq!(app.post_form("/items/4", &item).await.status, 303);

    // Another line: the form says it there too.
    let said = "“\u{2068}Apple TV, 100.00 EUR\u{2069}” was changed and is now “\u{2068}Apple TV, 99.00 \
                EUR\u{2069}”. If that is right, press Place order again.";
    let more = app.post_form("/line", &fields).await.body;
    assert!(
        more.contains(&format!("id=\"orderLine-0-item-error\">{said}")),
        "{more}"
    );

    let answer = app.post_form("/", &fields).await;
    assert_eq!(answer.status, 422);
    let page = answer.body;
    assert!(
        page.contains(&format!("id=\"orderLine-0-item-error\">{said}")),
        "{page}"
    );
    assert!(page.contains(&format!("<a href=\"#orderLine-0-item\">Line 1</a>: {said}")));
    assert_eq!(
        page.matches(r#"class="error""#).count(),
        1,
        "the customer is the same"
    );
    assert!(page.contains("<output id=\"total\" data-currency=\"EUR\">297.00 EUR"));
    assert_kept(&page, &fields[..FILLED.len()]);
    assert_eq!(app.stored().await, (0, 0, 0));

    let again = chosen(&page);
    assert_eq!(again, ["2 Rod Johnson", "4 Apple TV, 99.00 EUR"]);
    fields[7].1 = &again[1];
    let answer = app.post_form("/", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "order/1"));
    assert_eq!(app.json("/order/1").await["total"].to_string(), "297.00");
    // What was placed is answered, and not checked anew.
    let item = [("name", "Apple TV"), ("price", "98.00")];
    assert_eq!(app.post_form("/items/4", &item).await.status, 303);
    let answer = app.post_form("/", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "order/1"));
}

async fn a_name_that_was_changed_meanwhile_is_shown_before_it_is_ordered<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let mut fields = filled_but("orderLine[0].item", "1 iPod, 42.00 EUR");
    fields[0].1 = "2 Rod Johnson";
    let item = [("name", "iPod <b>"), ("price", "42")];
    app.post_form("/items/1", &item).await;
    let customer = [("firstname", "Rod"), ("name", "Smith"), ("email", "rod@x")];
    app.post_form("/customers/2", &customer).await;
    let answer = app.post_form("/", &fields).await;
    assert_eq!(answer.status, 422);
    for said in [
        "“\u{2068}iPod, 42.00 EUR\u{2069}” was changed and is now “\u{2068}iPod &lt;b&gt;, 42.00 EUR\u{2069}”",
        "“\u{2068}Rod Johnson\u{2069}” was changed and is now “\u{2068}Rod Smith\u{2069}”",
    ] {
        assert!(answer.body.contains(said), "{said}: {}", answer.body);
    }
    let again = chosen(&answer.body);
    fields[0].1 = &again[0];
    fields[7].1 = &again[1];
    assert_eq!(app.post_form("/", &fields).await.status, 303);
    assert_eq!(app.stored().await.0, 1);
}

async fn lines_are_added_and_removed_and_other_values_stay<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let mut fields = filled_but("orderLine[0].count", "not yet");
    fields.extend([("orderLine[4].item", "1"), ("orderLine[4].count", "9")]);
    let answer = app.post_form("/line", &fields).await;
    assert_eq!(answer.status, 200);
    let page = answer.body;
    assert!(
        !page.contains("aria-invalid"),
        "nobody asked for a check yet"
    );
    let (_, other) = fields.split_at(FILLED.len());
    assert_kept(&page, &fields[..FILLED.len()]);
    assert_kept(
        &page,
        &[
            ("orderLine[1].item", other[0].1),
            ("orderLine[1].count", other[1].1),
        ],
    );
    assert_kept(
        &page,
        &[("orderLine[2].item", ""), ("orderLine[2].count", "1")],
    );
    assert!(!page.contains("orderLine[3]"));

    fields.push(("remove", "0"));
    let page = app.post_form("/line", &fields).await.body;
    assert_kept(
        &page,
        &[("orderLine[0].item", "1"), ("orderLine[0].count", "9")],
    );
    assert!(!page.contains("orderLine[1]"));
    assert_kept(&page, &fields[..7]);
}

async fn the_total_is_that_of_the_lines_so_far<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    assert!(
        app.page("/form.html")
            .await
            .contains("<output id=\"total\" data-currency=\"EUR\">0.00 EUR</output>")
    );
    let mut fields = FILLED.to_vec();
    for (line, total) in [
        (
            [("orderLine[1].item", "3"), ("orderLine[1].count", "x")],
            "300.00 EUR",
        ),
        (
            [("orderLine[2].item", "1"), ("orderLine[2].count", "2")],
            "384.00 EUR",
        ),
        (
            [("orderLine[3].item", "9"), ("orderLine[3].count", "2")],
            "384.00 EUR",
        ),
    ] {
        fields.extend(line);
        let page = app
            .post_form("/line", &[&fields[..], &[("update", "total")]].concat())
            .await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(&format!(
            "<output id=\"total\" data-currency=\"EUR\">{total}</output>"
        )));
        assert_kept(&page.body, &fields);
        assert!(
            !page
                .body
                .contains(&format!("orderLine[{}]", fields.len() / 2 - 3))
        );
    }
}

async fn no_order_is_placed_with_less_than_was_sent<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for (name, field) in [
        ("orderLine[999999999999].item", "orderLine"),
        ("orderLine[x].count", "orderLine"),
        ("orderLine[-1].item", "orderLine"),
        ("orderLine[].item", "orderLine"),
        ("orderLine[0].item", "orderLine"),
        ("orderLine[00].count", "orderLine"),
        ("customer", "customer"),
    ] {
        let fields = [&FILLED[..], &[(name, "1")]].concat();
        for (path, status) in [("/", 422), ("/line", 200)] {
            let answer = app.post_form(path, &fields).await;
            assert_eq!(answer.status, status, "{name}");
            let error = format!("<a href=\"#{field}\">");
            assert!(answer.body.contains(&error), "{name}: {}", answer.body);
        }
    }
    assert_eq!(app.stored().await, (0, 0, 0));
}

async fn a_form_places_one_order_however_often_it_is_sent<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let key = |page: &str| {
        let rest = page.split("name=\"key\" value=\"").nth(1).expect("a key");
        rest.split('"').next().expect("a value").to_owned()
    };
    let own = key(&app.page("/form.html").await);
    assert_ne!(own, key(&app.page("/form.html").await));
    let fields = [&FILLED[..], &[("key", own.as_str())]].concat();
    let added = app.post_form("/line", &fields).await.body;
    assert_eq!(key(&added), own, "the same form");

    let (first, second) = tokio::join!(app.post_form("/", &fields), app.post_form("/", &fields));
    for answer in [first, second] {
        assert_eq!((answer.status, answer.header("location")), (303, "order/1"));
    }
    // The form is changed and sent again: a second order needs a confirmation.
    let mut changed = fields.clone();
    changed[8].1 = "5";
    let answer = app.post_form("/", &changed).await;
    assert_eq!(answer.status, 409);
    assert!(
        answer
            .body
            .contains("This form has placed <a href=\"/order/1\">order 1</a>")
    );
    assert_kept(&answer.body, &changed[..9]);
    let new = key(&answer.body);
    let last = changed.len() - 1;
    changed[last].1 = &new;
    let answer = app.post_form("/", &changed).await;
    assert_eq!((answer.status, answer.header("location")), (303, "order/2"));
    assert_eq!(app.stored().await.0, 2);
}

async fn rubbish_is_refused_without_an_internal_error<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let valid = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(FILLED)
        .finish();
    let add = |text: &str| format!("{valid}&{text}");
    let many: String = (0..1_001)
        .map(|index| format!("&orderLine[{index}].item=1&orderLine[{index}].count=1"))
        .collect();
    let bodies = [
        String::new(),
        "&&==&%".to_owned(),
        "customer=%FF%FE%00".to_owned(),
        valid.replace("customer=2", "customer=-1"),
        valid.replace("customer=2", "customer=99999999999999999999999999"),
        add("orderLine[1].item=1&orderLine[1].count=-5"),
        add("orderLine[1].item=1&orderLine[1].count=1e6"),
        add("orderLine[1].count=1&orderLine[1].item=0x1"),
        add("orderLine[1].item=1"),
        add("orderLine[4294967295].count=1"),
        valid.replace("Address.city=Berlin", "Address.city=%00"),
        format!("{valid}{many}"),
    ];
    for body in bodies {
        let start: String = body.chars().rev().take(60).collect();
        for path in ["/", "/line"] {
            let answer = app.post_raw_form(path, &body).await;
            let expected = if path == "/" { 422 } else { 200 };
            assert_eq!(answer.status, expected, "{path} {start}");
        }
    }
    // A line has no other fields.
    for odd in ["orderLine[1]=1", "orderLine[1].x=1"] {
        assert_eq!(app.post_raw_form("/", &add(odd)).await.status, 303, "{odd}");
    }
    assert_eq!(app.stored().await.0, 2);
    app.post("/").await.assert_problem(415);
    let huge = "x".repeat(1024 * 1024 + 1);
    app.post_raw_form("/", &huge).await.assert_problem(413);
}

/// More than a list has: the others are chosen by number.
async fn any_of_many_customers_and_items_can_be_ordered<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let numbers =
        "WITH RECURSIVE n (id) AS (SELECT 5 UNION ALL SELECT id + 1 FROM n WHERE id < 1500)";
    for sql in [
        "INSERT INTO items (name, price_cents) {numbers} SELECT 'Item ' || id, 100 FROM n",
        "INSERT INTO customers (name, firstname, email) {numbers}
         SELECT 'C' || id, 'Jo', 'jo@example.com' FROM n",
    ] {
        S::run(&app.database, &sql.replace("{numbers}", numbers)).await;
    }
    let page = app.page("/form.html").await;
    assert!(
        page.contains("The first 1000 customers are suggested."),
        "{page}"
    );
    assert!(page.contains(r#"<option value="5 Item 5, 1.00 EUR">"#));
    assert!(!page.contains("<select") && !page.contains("Item 1400"));
    let with = |customer: &'static str, item: &'static str| {
        let mut fields = filled_but("customer", customer);
        for (name, value) in &mut fields {
            if *name == "orderLine[0].item" {
                *value = item;
            }
        }
        fields
    };
    // What is not suggested is known once it was typed: its name, its price, and what was changed of it.
    let page = app.post_form("/line", &with("1300", "1400")).await.body;
    assert!(page.contains(r#"value="1300 Jo C1302""#), "{page}");
    assert!(
        page.contains(r#"value="1400 Item 1400, 1.00 EUR""#),
        "{page}"
    );
    assert!(page.contains(">3.00 EUR</output>"), "{page}");
    let changed = app
        .post_form("/line", &with("1300 Jo Old", "1400"))
        .await
        .body;
    assert!(changed.contains("Jo Old"), "{changed}");
    let unknown = app.post_form("/", &with("nobody", "1400")).await;
    assert_eq!(unknown.status, 422);
    assert!(
        unknown.body.contains(r#"value="nobody""#),
        "{}",
        unknown.body
    );
    let placed = app.post_form("/", &with("1300 Jo C1302", "1400")).await;
    assert_eq!(placed.status, 303, "{}", placed.body);
    let order = app.json("/order/1").await;
    assert_eq!(order["customer"]["customerId"], 1300);
    assert_eq!(order["orderLine"][0]["item"]["itemId"], 1400);
}

/// The fields of so many lines.
fn many_lines(count: usize) -> String {
    let line = |index| format!("&orderLine[{index}].item=7&orderLine[{index}].count=1");
    (0..count).map(line).collect()
}

/// Each line has a list of its own only while these are small together.
async fn a_form_with_many_lines_and_many_items_is_not_their_product<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let add = |from: i64, to: i64, name: &str| {
        format!(
            "INSERT INTO items (name, price_cents)
             WITH RECURSIVE n (id) AS (SELECT {from} UNION ALL SELECT id + 1 FROM n WHERE id < {to})
             SELECT {name} || id, 100 FROM n"
        )
    };
    S::run(&app.database, &add(5, 990, "'Item '")).await;
    for (lines, lists) in [(1, true), (400, false), (999, false)] {
        let body = many_lines(lines);
        for path in ["/line", "/"] {
            let page = app.post_raw_form(path, &body).await.body;
            assert!(
                page.len() < 2 * 1024 * 1024,
                "{lines} lines: {}",
                page.len()
            );
            assert_eq!(page.contains("<select id=\"orderLine-0-item\""), lists);
            assert_eq!(page.contains("All items are suggested."), !lists);
            assert_eq!(page.matches("value=\"990 Item 990, 1.00 EUR\"").count(), {
                // A line more, by its button.
                if lists {
                    lines + usize::from(path == "/line")
                } else {
                    1
                }
            });
            let chosen = page
                .matches("list=\"items\" value=\"7 Item 7, 1.00 EUR\"")
                .count()
                + page
                    .matches("value=\"7 Item 7, 1.00 EUR\" selected")
                    .count();
            assert_eq!(
                chosen,
                if lists { 1 } else { lines },
                "what was chosen is kept"
            );
        }
    }
    // Few items with names that take much room.
    S::run(&app.database, "DELETE FROM items WHERE id > 20").await;
    let long = "UPDATE items SET name = replace('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'x', '\"\"\"\"')";
    S::run(&app.database, long).await;
    let page = app.post_raw_form("/line", &many_lines(900)).await.body;
    assert!(page.len() < 4 * 1024 * 1024, "{}", page.len());
    // With as few as a small shop has, each line has its list.
    S::run(&app.database, "UPDATE items SET name = 'Tea'").await;
    S::run(&app.database, "DELETE FROM items WHERE id > 8").await;
    let page = app.post_raw_form("/line", &many_lines(900)).await.body;
    assert!(page.contains("<select id=\"orderLine-899-item\""));
}

async fn a_form_has_as_many_lines_as_an_order_may_have<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let lines = |page: &str| page.matches("role=\"group\" aria-label=\"Line ").count();
    for (sent, path, shown) in [
        (999, "/line", 1_000),
        (1_000, "/line", 1_000),
        // One more, so that the rules see that it is too many.
        (1_001, "/", 1_001),
        (1_002, "/", 1_001),
        (1_500, "/", 1_001),
    ] {
        let answer = app.post_raw_form(path, &many_lines(sent)).await;
        assert_eq!(lines(&answer.body), shown, "{sent} to {path}");
        let too_many = answer.body.contains("An order has 1 to 1,000 lines.");
        assert_eq!(too_many, path == "/", "{sent} to {path}");
    }
    let valid = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&FILLED[..7])
        .finish();
    let lines = many_lines(1_000).replace("item=7", "item=1");
    let placed = app.post_raw_form("/", &format!("{valid}{lines}")).await;
    assert_eq!(placed.status, 303, "{}", placed.body);
    assert_eq!(app.json("/order/1").await["numberOfLines"], 1_000);
}
