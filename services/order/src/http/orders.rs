//! All orders: the list, and a new one as JSON. (The form posts to `/` too: `form`.)

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::Wanted;
use feed_chassis::list::{self, Before, Page, Search};
use feed_core::http::Json;

use super::App;
use super::body::JsonBody;
use super::context::{Traceparent, idempotency_key};
use super::problem::Problem;
use crate::order::OrderId;
use crate::orders::IdempotencyKey;
use crate::representation::{self, OrderDocument, SummaryDocument};
use crate::store::Store;

/// `GET /`: the orders, or those that match `?q=`, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    before: Before,
    search: Search,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let reader = app.orders.database().reader();
    let first = OrderId(before.number());
    let (orders, count) = match search.text() {
        None => (
            S::list(reader, first, list::LIMIT).await?,
            S::count(reader).await?,
        ),
        Some(text) => (
            S::search(reader, text, first, list::LIMIT).await?,
            S::count_found(reader, text).await?,
        ),
    };
    let page = Page::new(orders, count, before, |order| order.id.0).matching(search);
    let base = app.pages.base();
    let summary = |order| SummaryDocument::new(order, base);
    let document = || page.document("orders", base, summary);
    Ok(wanted.answer(|| app.pages.list(&page), document))
}

/// `POST /orders`: places an order.
pub(super) async fn place<S: Store>(
    State(app): State<App<S>>,
    Traceparent(trace): Traceparent,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let draft = representation::draft(&body.parse()?);
    let fingerprint = body.fingerprint();
    let key = idempotency_key(&headers)?.map(|key| IdempotencyKey { key, fingerprint });
    let order = app.orders.place(draft, key, trace).await?;
    let base = app.pages.base();
    let location = [(header::LOCATION, base.join(&order.id.path()).to_string())];
    let document = Json(OrderDocument::new(&order, base));
    Ok((StatusCode::CREATED, location, document).into_response())
}
