//! One order: to look at, and to cancel.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::Number;
use feed_core::http::conditional::{Validators, guard, is_conditional, tagged};
use feed_core::http::{Json, negotiate};

use super::App;
use super::context::Traceparent;
use super::problem::Problem;
use crate::order::{Order, OrderId};
use crate::orders::Orders;
use crate::representation::OrderDocument;
use crate::store::Store;

/// HAL is what the original offers; it is the same document.
const OFFERS: &[&str] = &["application/json", "application/hal+json", "text/html"];

/// `GET /order/{id}`: the order as it is now, for programs or for people.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let order = find(&app.orders, id).await?;
    let offer = negotiate(&headers, OFFERS).ok_or(Problem::NotAcceptable(OFFERS))?;
    let media_type = OFFERS[offer];
    let answer = match media_type {
        "text/html" => {
            let history = app.orders.history(id).await?;
            app.pages.order(&order, &history).into_response()
        }
        _ => {
            let json = [(header::CONTENT_TYPE, media_type)];
            (json, document(&app, &order)).into_response()
        }
    };
    Ok(tagged(&headers, answer).await)
}

/// `DELETE /order/{id}`: cancels it, and answers with the order.
pub(super) async fn delete<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    Traceparent(trace): Traceparent,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    allow(&app, id, &headers).await?;
    let order = app.orders.cancel(id, trace).await?;
    let order = order.ok_or(Problem::NoSuchOrder(id))?;
    Ok(document(&app, &order).into_response())
}

/// `POST /order/{id}/cancel`: the same by a button; back to the page.
pub(super) async fn cancel<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    Traceparent(trace): Traceparent,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    allow(&app, id, &headers).await?;
    let order = app.orders.cancel(id, trace).await?;
    order.ok_or(Problem::NoSuchOrder(id))?;
    // Relative to this address, so that it holds behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

async fn find<S: Store>(orders: &Orders<S>, id: OrderId) -> Result<Order, Problem> {
    let order = S::find(orders.database().reader(), id).await?;
    order.ok_or(Problem::NoSuchOrder(id))
}

/// Refuses a change whose preconditions do not hold.
async fn allow<S: Store>(app: &App<S>, id: OrderId, headers: &HeaderMap) -> Result<(), Problem> {
    if !is_conditional(headers) {
        return Ok(());
    }
    let order = find(&app.orders, id).await?;
    let document = OrderDocument::new(&order, app.pages.base()).to_json();
    let validators = Validators::of(OFFERS[0], document.as_bytes());
    guard(headers, &validators).map_err(|_| Problem::PreconditionFailed)
}

fn document<'a, S: Store>(app: &App<S>, order: &'a Order) -> Json<OrderDocument<'a>> {
    Json(OrderDocument::new(order, app.pages.base()))
}
