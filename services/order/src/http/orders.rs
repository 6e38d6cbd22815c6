//! All orders: the list, and a new one as JSON. (The form posts to `/` too: `form`.)

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::service::negotiate;
use url::form_urlencoded;

use super::App;
use super::context::{Traceparent, idempotency_key};
use super::json::{Json, JsonBody};
use super::problem::Problem;
use crate::order::{OrderId, Summary};
use crate::orders::IdempotencyKey;
use crate::representation::{self, ListDocument, OrderDocument};
use crate::store::Store;

/// Orders on a page of the list.
const PAGE: usize = 50;

const OFFERS: &[&str] = &["text/html", "application/json"];

/// A page of the list, newest first.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) orders: Vec<Summary>,
    /// All orders, not only those of this page.
    pub(super) count: i64,
    /// True if this is not the first page.
    pub(super) continued: bool,
    /// The next page is of the orders before this one.
    pub(super) next: Option<OrderId>,
}

/// `GET /`: the orders, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let before = before(query.as_deref().unwrap_or_default())?;
    let offer = negotiate(&headers, OFFERS).map(|index| OFFERS[index]);
    let offer = offer.ok_or(Problem::NotAcceptable(OFFERS))?;
    let reader = app.orders.database().reader();
    // One more than is shown: then there is a next page.
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut orders = S::list(reader, before.unwrap_or(OrderId(i64::MAX)), limit).await?;
    let more = orders.len() > PAGE;
    orders.truncate(PAGE);
    let page = Page {
        count: S::count(reader).await?,
        continued: before.is_some(),
        next: orders.last().filter(|_| more).map(|order| order.id),
        orders,
    };
    let vary = [(header::VARY, "Accept")];
    if offer == "text/html" {
        return Ok((vary, app.pages.list(&page)).into_response());
    }
    let base = app.pages.base();
    let next = page.next.map(|id| base.join(&next_page(id)));
    let document = ListDocument::new(&page.orders, page.count, next.as_ref(), base);
    Ok((vary, Json(document)).into_response())
}

/// The page of the orders before `id`, relative to the base URL.
pub(super) fn next_page(id: OrderId) -> String {
    format!("?before={id}")
}

/// The order before which the page begins; other parameters are not ours.
fn before(query: &str) -> Result<Option<OrderId>, Problem> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let Some((_, value)) = parameters.find(|(name, _)| name == "before") else {
        return Ok(None);
    };
    let id = value.parse().map(OrderId);
    let id = id.map_err(|_| Problem::BadRequest(format!("`before={value}` is no order's number")));
    id.map(Some)
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
