//! The list of shipments, one of them, and its dispatch.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::service::negotiate;
use tracing::info;

use super::App;
use super::context::{Before, Named};
use super::problem::Problem;
use crate::order::OrderId;
use crate::representation::{ListDocument, ShipmentDocument};
use crate::shipment::{Shipment, Status};
use crate::store::Store;

/// Shipments on a page of the list.
const PAGE: usize = 50;

/// Both resources come as both.
const OFFERS: &[&str] = &["text/html", "application/json"];

const VARY: [(header::HeaderName, &str); 1] = [(header::VARY, "Accept")];

/// A page of the list, newest first.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) shipments: Vec<Shipment>,
    /// All shipments, not only those of this page.
    pub(super) count: i64,
    /// True if this is not the first page.
    pub(super) continued: bool,
    /// The next page is of the orders before this one.
    pub(super) next: Option<OrderId>,
}

/// `GET /`: the shipments, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    Before(before): Before,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let html = wants_html(&headers)?;
    let reader = app.database.reader();
    // One more than is shown: then there is a next page.
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut shipments = S::list(reader, before.unwrap_or(OrderId(i64::MAX)), limit).await?;
    let more = shipments.len() > PAGE;
    shipments.truncate(PAGE);
    let page = Page {
        count: S::count(reader).await?,
        continued: before.is_some(),
        next: shipments.last().filter(|_| more).map(|last| last.order),
        shipments,
    };
    if html {
        return Ok((VARY, app.pages.list(&page)).into_response());
    }
    let next = page.next.map(|id| app.pages.base().join(&next_page(id)));
    let document = ListDocument::new(&page.shipments, page.count, next.as_ref());
    Ok((VARY, Json(document)).into_response())
}

/// The page of the orders before `id`, relative to the base URL.
pub(super) fn next_page(id: OrderId) -> String {
    format!("?before={id}")
}

/// `GET /{id}`: the shipment of an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let html = wants_html(&headers)?;
    let shipment = find(&app, id).await?;
    Ok(match html {
        true => (VARY, app.pages.shipment(&shipment)).into_response(),
        false => (VARY, Json(ShipmentDocument::new(&shipment))).into_response(),
    })
}

/// `POST /{id}/dispatch`: the goods have left; back to the page. A second time changes nothing.
pub(super) async fn dispatch<S: Store>(
    State(app): State<App<S>>,
    Named(id): Named,
) -> Result<Response, Problem> {
    if S::dispatch(app.database.writer(), id).await? {
        info!(order.id = %id, "dispatched order {id}");
    } else if find(&app, id).await?.status() == Status::Stopped {
        return Err(Problem::Stopped(id));
    }
    // Relative to this address, so that it holds behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

async fn find<S: Store>(app: &App<S>, id: OrderId) -> Result<Shipment, Problem> {
    let shipment = S::find(app.database.reader(), id).await?;
    shipment.ok_or_else(|| Problem::NoSuchShipment(id.to_string()))
}

fn wants_html(headers: &HeaderMap) -> Result<bool, Problem> {
    match negotiate(headers, OFFERS) {
        Some(index) => Ok(index == 0),
        None => Err(Problem::NotAcceptable(OFFERS)),
    }
}
