//! The list of shipments, one of them, and its dispatch.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Before, Page};
use feed_chassis::{Number, Wanted};
use feed_core::http::Problem;
use feed_core::http::conditional::tagged;
use tracing::info;

use super::App;
use super::problem::{no_such_shipment, stopped};
use crate::order::OrderId;
use crate::representation::ShipmentDocument;
use crate::shipment::{Shipment, Status};
use crate::store::Store;

/// `GET /`: the shipments, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    before: Before,
    only: Only,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Only(Some(order)) = only {
        return of_order(&app, order, wanted, &headers).await;
    }
    let reader = app.database.reader();
    let shipments = S::list(reader, OrderId(before.number()), list::LIMIT).await?;
    let count = S::count(reader).await?;
    let page = Page::new(shipments, count, before, |shipment| shipment.order.0);
    let document = || page.document("shipments", app.pages.base(), ShipmentDocument::new);
    Ok(wanted.answer(|| app.pages.list(&page), document))
}

/// `GET /?order=17`: the same list with the shipment for that order alone, if there is one. With a tag,
/// so that who waits for it may ask again and again.
async fn of_order<S: Store>(
    app: &App<S>,
    order: OrderId,
    wanted: Wanted,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let found = S::find(app.database.reader(), order).await?;
    let found = Vec::from_iter(found);
    let count = i64::from(!found.is_empty());
    let page = Page::new(found, count, Before::default(), |shipment| shipment.order.0);
    let document = || page.document("shipments", app.pages.base(), ShipmentDocument::new);
    let answer = wanted.answer(|| app.pages.list(&page), document);
    Ok(tagged(headers, answer).await)
}

/// The order that `?order=` names.
pub(super) struct Only(Option<OrderId>);

impl<S: Send + Sync> FromRequestParts<S> for Only {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let order = list::number(parts.uri.query().unwrap_or_default(), "order")?;
        Ok(Self(order.map(OrderId)))
    }
}

/// `GET /{id}`: the shipment of an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let shipment = find(&app, OrderId(id)).await?;
    Ok(wanted.answer(
        || app.pages.shipment(&shipment),
        || ShipmentDocument::new(&shipment),
    ))
}

/// `POST /{id}/dispatch`: the goods have left; back to the page. A second time changes nothing.
pub(super) async fn dispatch<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    if S::dispatch(app.database.writer(), id).await? {
        info!(order.id = %id, "dispatched order {id}");
    } else if find(&app, id).await?.status() == Status::Stopped {
        return Err(stopped(id));
    }
    // Relative to this address, so that it holds behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

async fn find<S: Store>(app: &App<S>, id: OrderId) -> Result<Shipment, Problem> {
    let shipment = S::find(app.database.reader(), id).await?;
    shipment.ok_or_else(|| no_such_shipment(id))
}
