//! One order: to look at, and to cancel.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::service::negotiate;

use super::App;
use super::context::{Named, Traceparent};
use super::json::Json;
use super::problem::Problem;
use crate::order::Order;
use crate::orders::Orders;
use crate::representation::OrderDocument;
use crate::store::Store;

/// HAL is what the original offers; it is the same document.
const OFFERS: &[&str] = &["application/json", "application/hal+json", "text/html"];

/// `GET /order/{id}`: the order as it is now, for programs or for people.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = S::find(app.orders.database().reader(), id).await?;
    let order = order.ok_or_else(|| Problem::NoSuchOrder(id.to_string()))?;
    let vary = [(header::VARY, "Accept")];
    match negotiate(&headers, OFFERS).map(|index| OFFERS[index]) {
        Some("text/html") => Ok((vary, app.pages.order(&order)).into_response()),
        Some(json) => {
            let json = [(header::CONTENT_TYPE, json)];
            Ok((vary, json, document(&app, &order)).into_response())
        }
        None => Err(Problem::NotAcceptable(OFFERS)),
    }
}

/// `DELETE /order/{id}`: cancels it, and answers with the order.
pub(super) async fn delete<S: Store>(
    State(app): State<App<S>>,
    Named(id): Named,
    Traceparent(trace): Traceparent,
) -> Result<Response, Problem> {
    let order = app.orders.cancel(id, trace).await?;
    let order = order.ok_or_else(|| Problem::NoSuchOrder(id.to_string()))?;
    Ok(document(&app, &order).into_response())
}

/// `POST /order/{id}/cancel`: the same by a button; back to the page.
pub(super) async fn cancel<S: Store>(
    State(orders): State<Orders<S>>,
    Named(id): Named,
    Traceparent(trace): Traceparent,
) -> Result<Response, Problem> {
    let order = orders.cancel(id, trace).await?;
    order.ok_or_else(|| Problem::NoSuchOrder(id.to_string()))?;
    // Relative to this address, so that it holds behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

fn document<'a, S: Store>(app: &App<S>, order: &'a Order) -> Json<OrderDocument<'a>> {
    Json(OrderDocument::new(order, app.pages.base()))
}
