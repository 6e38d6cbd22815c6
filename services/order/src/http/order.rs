//! One order: to look at, and to cancel.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::Sequence;
use feed_core::service::conditional::{Outcome, Validators, evaluate, guard, is_conditional};
use feed_core::service::{Json, Number, negotiate};

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
    let history = match media_type {
        "text/html" => app.orders.history(id).await?,
        _ => Vec::new(),
    };
    let newest = history.first().map_or(0, |event| event.sequence);
    let validators = validators(&order, media_type, newest);
    let metadata = [
        (header::VARY, "Accept".to_owned()),
        (header::ETAG, validators.etag()),
    ];
    match evaluate(&headers, &validators) {
        Outcome::Failed => Err(Problem::PreconditionFailed),
        Outcome::NotModified => Ok((StatusCode::NOT_MODIFIED, metadata).into_response()),
        Outcome::Proceed if media_type == "text/html" => {
            Ok((metadata, app.pages.order(&order, &history)).into_response())
        }
        Outcome::Proceed => {
            let json = [(header::CONTENT_TYPE, media_type)];
            Ok((metadata, json, document(&app, &order)).into_response())
        }
    }
}

/// `DELETE /order/{id}`: cancels it, and answers with the order.
pub(super) async fn delete<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    Traceparent(trace): Traceparent,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    allow(&app.orders, id, &headers).await?;
    let order = app.orders.cancel(id, trace).await?;
    let order = order.ok_or(Problem::NoSuchOrder(id))?;
    Ok(document(&app, &order).into_response())
}

/// `POST /order/{id}/cancel`: the same by a button; back to the page.
pub(super) async fn cancel<S: Store>(
    State(orders): State<Orders<S>>,
    Number(id): Number,
    Traceparent(trace): Traceparent,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    allow(&orders, id, &headers).await?;
    let order = orders.cancel(id, trace).await?;
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
async fn allow<S: Store>(
    orders: &Orders<S>,
    id: OrderId,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if !is_conditional(headers) {
        return Ok(());
    }
    let order = find(orders, id).await?;
    guard(headers, &validators(&order, OFFERS[0], 0)).map_err(|_| Problem::PreconditionFailed)
}

/// Of an order only the status changes, and whether it names anybody; and on its page what is told of its events; each form has a
/// tag of its own.
fn validators(order: &Order, media_type: &str, newest: Sequence) -> Validators {
    let status = match order.customer.is_erased() {
        true => format!("{}.erased", order.status.as_str()),
        false => order.status.as_str().to_owned(),
    };
    match newest {
        0 => Validators::tag(format!("{}.{status}.{media_type}", order.id)),
        newest => Validators::tag(format!("{}.{status}.{newest}.{media_type}", order.id)),
    }
}

fn document<'a, S: Store>(app: &App<S>, order: &'a Order) -> Json<OrderDocument<'a>> {
    Json(OrderDocument::new(order, app.pages.base()))
}
