//! Orders: the list, one of them, a new one as JSON, and a cancellation. `form` has a new one by the form.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::http::conditional::{
    Validators, guard_strongly, is_conditional, tagged, tagged_strongly,
};
use feed_core::http::{Json, negotiate};

use super::app::App;
use super::body::JsonBody;
use super::context::{Traceparent, idempotency_key};
use super::mistyped::for_programs;
use super::problem::Problem;
use crate::order::{CustomerId, Order, OrderId, Status};
use crate::orders::{IdempotencyKey, OrderError, Orders};
use crate::representation::{self, OrderDocument, SummaryDocument};
use crate::store::{Selection, Store};

/// The original offers HAL, which is the same document.
const OFFERS: &[&str] = &["application/json", "application/hal+json", "text/html"];

/// `GET /`: the orders, or a selection of them, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    RawQuery(query): RawQuery,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref(), &["q", "status", "from", "to", "customer"])?;
    let selection = Selection {
        search: query.search(),
        status: query.choice("status", Status::ALL, Status::as_str)?,
        customer: query.number("customer")?.map(CustomerId),
        placed: query.days()?,
    };
    let database = app.orders.database();
    let (reader, before) = (database.reader(), query.before().map(OrderId));
    let orders = S::list(reader, &selection, before, list::LIMIT);
    let orders = database.statement(orders).await?;
    let count = database.statement(S::count(reader, &selection)).await?;
    let page = Page::new(orders, count, query, |order| order.id.0);
    let base = app.pages.base();
    let summary = |order| SummaryDocument::new(order, base);
    let document = || page.document("orders", base, summary);
    let answer = wanted.answer(|| app.pages.list(&page), document);
    Ok(tagged(&headers, answer).await)
}

/// `POST /orders`: places an order.
pub(super) async fn place<S: Store>(
    State(app): State<App<S>>,
    Traceparent(trace): Traceparent,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let json = body.parse()?;
    let draft = representation::draft(&json);
    let fingerprint = body.fingerprint();
    let key = idempotency_key(&headers)?.map(|key| IdempotencyKey { key, fingerprint });
    let order = match app.orders.place(draft, key, trace).await {
        Err(OrderError::Invalid(errors)) => {
            return Err(Problem::Invalid(for_programs(&json, errors)));
        }
        placed => placed?,
    };
    let base = app.pages.base();
    let location = [(header::LOCATION, base.join(&order.id.path()).to_string())];
    let document = Json(OrderDocument::new(&order, base));
    Ok((StatusCode::CREATED, location, document).into_response())
}

/// `GET /order/{id}`: the order, for programs or for people.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let order = find(&app.orders, id).await?;
    let offer = negotiate(&headers, OFFERS).ok_or(Problem::NotAcceptable(OFFERS))?;
    let media_type = OFFERS[offer];
    if media_type == "text/html" {
        let history = app.orders.history(id).await?;
        let page = app.pages.order(&order, &history).into_response();
        return Ok(tagged(&headers, page).await);
    }
    let json = [(header::CONTENT_TYPE, media_type)];
    let answer = (json, document(&app, &order)).into_response();
    Ok(tagged_strongly(&headers, answer).await)
}

/// `DELETE /order/{id}`: cancels the order and answers with it.
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

/// `GET /order/{id}/cancel`: asks whether the order must be cancelled.
pub(super) async fn confirm<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
) -> Result<Response, Problem> {
    let order = find(&app.orders, OrderId(id)).await?;
    // After going back, a browser must not show the question again that has been answered.
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    Ok((fresh, app.pages.cancel(&order)).into_response())
}

/// `POST /order/{id}/cancel`: cancels the order by a button, and leads back to its page.
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
    // Relative to this address, so that it works behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

async fn find<S: Store>(orders: &Orders<S>, id: OrderId) -> Result<Order, Problem> {
    let order = S::find(orders.database().reader(), id);
    let order = orders.database().statement(order).await?;
    order.ok_or(Problem::NoSuchOrder(id))
}

/// Refuses a change whose preconditions fail.
async fn allow<S: Store>(app: &App<S>, id: OrderId, headers: &HeaderMap) -> Result<(), Problem> {
    if !is_conditional(headers) {
        return Ok(());
    }
    let order = find(&app.orders, id).await?;
    let document = OrderDocument::new(&order, app.pages.base()).to_json();
    // The page has a weak tag, which no change can name.
    let [json, hal] = [OFFERS[0], OFFERS[1]].map(|form| Validators::of(form, document.as_bytes()));
    guard_strongly(headers, &[&json.tag, &hal.tag]).map_err(|_| Problem::PreconditionFailed)
}

fn document<'a, S: Store>(app: &App<S>, order: &'a Order) -> Json<OrderDocument<'a>> {
    Json(OrderDocument::new(order, app.pages.base()))
}
