//! Several consumers on one page: the browser asks each of them, also on other origins, and believes none of them.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use harness::{Backend, System, serve};
use serde_json::{Value, json};

use crate::axe;
use crate::page::{Look, Page};
use crate::shop::{Shop, order};
use crate::story::tell;

/// The cells of the row whose consumer has this name.
async fn row_says(page: &Page, row: usize, text: &str) {
    page.sees(&format!("tbody tr:nth-child({row})"), text).await;
}

/// The address without the slash at its end.
fn origin(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_away_is_named_and_its_numbers_are_gone() {
    let mut system = System::new(Backend::Sqlite).await;
    let page_origin = origin(&system.invoice.client.url(""));
    system.shipping.set("STATUS_ORIGINS", page_origin);
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.start().await;
    }
    tell(Look::DESKTOP, async |page| {
        page.foresee("ERR_CONNECTION_REFUSED");
        page.foresee("ERR_EMPTY_RESPONSE");
        page.foresee("ERR_CONNECTION_RESET");
        page.open(&system.invoice.client.url("status")).await;
        page.press("All consumers").await;
        page.sees("#asof", "1 of 1 well").await;
        page.fill("of", &system.shipping.client.url("")).await;
        page.press("Add").await;
        page.sees("#asof", "2 of 2 well").await;
        row_says(page, 2, "0 of 0").await;
        page.mark().await;
        let id = system.place().await;
        system.shipment(id).await;
        row_says(page, 1, "1 of 1").await;
        row_says(page, 2, "1 of 1").await;
        axe::check(page, "two consumers").await;

        system.shipping.stop().await;
        row_says(page, 2, "Does not answer since 20").await;
        page.sees("#asof", "1 of 2 well").await;
        let cells = page.text("tbody tr:nth-child(2)").await;
        assert!(!cells.contains("1 of 1"), "an old number: {cells}");
        system.shipping.start().await;
        page.sees("#asof", "2 of 2 well").await;
        row_says(page, 2, "1 of 1").await;
        assert!(page.is_the_same().await, "no page was loaded");

        // The page keeps it in its address, until it is removed.
        page.session.reload().await.unwrap();
        page.sees("#asof", "2 of 2 well").await;
        page.press(&format!(
            "Remove {}",
            origin(&system.shipping.client.url("")).replace("http://", "")
        ))
        .await;
        page.sees("#asof", "1 of 1 well").await;
        page.arrives("/status/all").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_lets_only_pages_read_it_that_it_names() {
    let mut system = System::new(Backend::Sqlite).await;
    system
        .shipping
        .set("STATUS_ORIGINS", "https://another.example".to_owned());
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.start().await;
    }
    let all = format!(
        "status/all?of={}",
        origin(&system.shipping.client.url("")) + "/status"
    );
    tell(Look::DESKTOP, async |page| {
        page.foresee("CORS policy");
        page.foresee("net::ERR_FAILED");
        page.open(&system.invoice.client.url(&all)).await;
        row_says(page, 1, "Well").await;
        row_says(page, 2, "answers, but not to this page").await;
        row_says(page, 2, "STATUS_ORIGINS").await;
        page.sees("#asof", "1 of 2 well").await;
    })
    .await;

    // One that is protected is read with the credentials by which the operator has signed in there, and only if the
    // operator says so.
    let page_origin = origin(&system.invoice.client.url(""));
    system.shipping.stop().await;
    system.shipping.set("STATUS_ORIGINS", page_origin);
    system
        .shipping
        .protect("operate eve:secret", "Basic ZXZlOnNlY3JldA==");
    system.shipping.start().await;
    tell(Look::DESKTOP, async |page| {
        page.foresee("CORS policy");
        page.foresee("status of 401");
        page.foresee("net::ERR_FAILED");
        page.open(&system.invoice.client.url(&all)).await;
        row_says(page, 2, "it needs credentials").await;
        let signing_in = system.shipping.client.url("status");
        page.open(&signing_in.replace("http://", "http://eve:secret@"))
            .await;
        page.sees("main", "Taken up to").await;
        page.open(&system.invoice.client.url(&all)).await;
        row_says(page, 2, "it needs credentials").await;
        page.press("Ask with my credentials").await;
        page.sees("#asof", "2 of 2 well").await;
    })
    .await;
}

/// Answers as a consumer that permits all pages to read it, with this.
fn permitted(headers: &HeaderMap, answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    let origin = headers.get(header::ORIGIN).cloned();
    if let Some(origin) = origin {
        let fields = answer.headers_mut();
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let credentials = "true".parse().unwrap();
        fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
    }
    answer
}

/// A consumer that answers with this document.
fn answering(document: &Value) -> axum::routing::MethodRouter {
    let document = document.to_string();
    get(async move |headers: HeaderMap| permitted(&headers, document))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_does_harm() {
    let hostile =
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";
    let concern = json!({"kind": hostile, "text": hostile, "why": hostile});
    let paused = json!({"kind": "paused", "text": "paused by eve", "why": "the audit"});
    let strange = json!({
        "sequence": 1, "head": 9, "lag": {"events": "x", "seconds": []}, "parked": 1e300, "instances": {},
        "last_contact": "\u{202e}yesterday", "concerns": [concern, null, 7], "more": [[]],
    });
    let long = json!({"sequence": 1, "head": 1, "concerns": [{"text": "w".repeat(500_000)}]});
    let router = Router::new()
        .route("/strange/status", answering(&strange))
        .route("/long/status", answering(&long))
        .route(
            "/paused/status",
            answering(&json!({"sequence": 1, "head": 1, "parked": 0, "concerns": [paused]})),
        )
        // A version that does not name what is wrong.
        .route("/old/status", answering(&json!({"sequence": 5, "head": 7})))
        .route("/other/status", answering(&json!(["no", "status"])))
        .route(
            "/huge/status",
            get(async |headers: HeaderMap| permitted(&headers, " ".repeat(3_000_000))),
        )
        .route(
            "/moved/status",
            get(async |headers: HeaderMap| {
                permitted(
                    &headers,
                    (StatusCode::FOUND, [(header::LOCATION, "/old/status")]),
                )
            }),
        )
        .route(
            "/failing/status",
            get(async |headers: HeaderMap| permitted(&headers, StatusCode::SERVICE_UNAVAILABLE)),
        )
        .route(
            "/slow/status",
            get(async || tokio::time::sleep(Duration::from_secs(600)).await),
        );
    let evil = serve(router).await;
    let shop = Shop::open().await;
    let names = [
        "strange", "long", "paused", "old", "other", "huge", "moved", "failing", "slow",
    ];
    let query: Vec<String> = names
        .iter()
        .map(|name| format!("of={evil}/{name}"))
        .collect();
    tell(Look::PHONE, async |page| {
        page.foresee("status of 503");
        page.open(&shop.url(&format!("invoice/status/all?{}", query.join("&"))))
            .await;
        // Behind the two of the shop.
        for (row, text) in [
            (1, "Well"),
            (2, "Well"),
            (3, "1 of 9"),
            (3, hostile),
            (4, "Wwww"),
            (5, "Paused by eve the audit"),
            (6, "5 of 7"),
            (6, "does not say whether it is well"),
            (7, "something else than a consumer's status"),
            (8, "more than a status"),
            (9, "redirects to another address"),
            (10, "it answers 503"),
            (11, "Does not answer since"),
        ] {
            row_says(page, row, text).await;
        }
        page.sees("#asof", "2 of 11 well").await;
        let cells = page.text("tbody tr:nth-child(4) .state").await;
        assert!(cells.chars().count() < 400, "{} characters", cells.len());
        assert_eq!(
            page.run("return document.title").await,
            "All consumers · Invoices"
        );
        assert_eq!(page.run("return document.images.length").await, 0);
        axe::check(page, "hostile consumers").await;
        assert_eq!(page.wider().await, json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_the_page_has_the_links() {
    let shop = Shop::open().await;
    shop.place(&order("Main Street 1")).await;
    tell(Look::PHONE, async |page| {
        page.turn_scripts_off().await;
        page.open(&shop.url("invoice/status/all")).await;
        page.sees("#asof", "Without them, follow the links").await;
        page.press("/shipping").await;
        page.arrives("/shipping/status").await;
        page.sees("main", "Taken up to").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_tab_asks_no_consumer() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("invoice/status/all")).await;
        page.sees("#asof", "2 of 2 well").await;
        page.hide(true).await;
        row_says(page, 2, "this tab was hidden").await;
        shop.place(&order("Main Street 1")).await;
        shop.has("shipping/status", "sequence", json!(1)).await;
        row_says(page, 2, "Not asked").await;
        page.hide(false).await;
        row_says(page, 2, "1 of 1").await;
    })
    .await;
}
