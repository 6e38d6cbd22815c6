//! The headers with each page that tell a browser to ignore injected content.

use std::collections::BTreeSet;

use harness::{Answer, Backend, Client, System};

crate::on_both! {
    every_page_is_protected
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Fails unless `answer` is a page with all these headers, and needs nothing that they forbid.
fn assert_protected(what: &str, answer: &Answer) {
    assert_eq!(
        answer.header("content-type"),
        "text/html; charset=utf-8",
        "{what}"
    );
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{what}");
    }
    let body = &answer.body;
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split_whitespace().next().unwrap_or_default();
        let attributes = tag.split('"').step_by(2).flat_map(str::split_whitespace);
        for attribute in attributes.filter_map(|text| text.strip_suffix('=')) {
            let inline = attribute == "style" || attribute.starts_with("on");
            assert!(!inline, "{what}: <{tag}>");
        }
        assert_ne!(name, "style", "{what}");
        assert!(
            name != "script" || tag.contains(" src=\""),
            "{what}: <{tag}>"
        );
        assert!(!tag.contains("javascript:"), "{what}: <{tag}>");
    }
}

async fn every_page_is_protected(backend: Backend) {
    let system = System::started(backend).await;
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let customer = serde_json::json!({
        "firstname": hostile, "name": hostile, "email": "eve@example.com",
    });
    let customer = system.order.client.post_json("customers", &customer).await;
    let customer = customer.unwrap().json()["customerId"].clone();
    let mut order = harness::new_order();
    order["customer"] = customer;
    order["shippingAddress"]["street"] = hostile.into();
    order["billingAddress"]["street"] = hostile.into();
    let placed = system
        .order
        .client
        .post_json("orders", &order)
        .await
        .unwrap();
    let id = placed.json()["id"].as_i64().unwrap();
    system.invoice(id).await;
    system.shipment(id).await;
    let browser = [("accept", "text/html,*/*;q=0.1")];
    for client in [
        &system.order.client,
        &system.invoice.client,
        &system.shipping.client,
    ] {
        let mut pages = 0;
        let mut open = vec![
            client.url(""),
            client.url("1"),
            client.url("none"),
            client.url("feed"),
            client.url("order/0"),
        ];
        let mut seen: BTreeSet<String> = open.iter().cloned().collect();
        while let Some(url) = open.pop() {
            let answer = client.get(&url, &browser).await;
            if !answer.header("content-type").starts_with("text/html") {
                assert_other(&url, &answer);
                continue;
            }
            assert_protected(&url, &answer);
            assert!(!answer.body.contains("<script>alert"), "{url}");
            pages += 1;
            for link in answer.body.split("href=\"").skip(1) {
                let link = link.split('"').next().unwrap().replace("&amp;", "&");
                let target = url::Url::parse(&url).unwrap().join(&link).unwrap();
                if target.as_str().starts_with(&client.url("")) && seen.insert(target.to_string()) {
                    open.push(target.into());
                }
            }
        }
        assert!(pages >= 8, "{pages} pages at {}", client.url(""));
        assert_form_answers(client).await;
    }
}

/// Pages are also answers to forms.
async fn assert_form_answers(client: &Client) {
    let headers = [
        ("accept", "text/html"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    for path in ["", "line", "customers", "status/skip", "status/replay"] {
        let answer = client.try_send("POST", path, &headers, "x=1").await;
        let answer = answer.unwrap();
        assert_protected(&format!("POST {}", client.url(path)), &answer);
    }
}

/// A browser must not treat other documents as pages.
fn assert_other(url: &str, answer: &Answer) {
    let media_type = answer.header("content-type");
    assert_eq!(answer.header("content-security-policy"), "", "{url}");
    if media_type.starts_with("text/") {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{url}");
    }
}
