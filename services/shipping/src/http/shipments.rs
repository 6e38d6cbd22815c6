//! The list of shipments, one of them, and its dispatch.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::service::list::{self, Before, Page};
use feed_core::service::{Number, Wanted};
use tracing::info;

use super::App;
use super::problem::Problem;
use crate::order::OrderId;
use crate::representation::ShipmentDocument;
use crate::shipment::{Shipment, Status};
use crate::store::Store;

/// `GET /`: the shipments, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    before: Before,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let reader = app.database.reader();
    let shipments = S::list(reader, OrderId(before.number()), list::LIMIT).await?;
    let count = S::count(reader).await?;
    let page = Page::new(shipments, count, before, |shipment| shipment.order.0);
    let document = || page.document("shipments", app.pages.base(), ShipmentDocument::new);
    Ok(wanted.answer(|| app.pages.list(&page), document))
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
        return Err(Problem::Stopped(id));
    }
    // Relative to this address, so that it holds behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

async fn find<S: Store>(app: &App<S>, id: OrderId) -> Result<Shipment, Problem> {
    let shipment = S::find(app.database.reader(), id).await?;
    shipment.ok_or(Problem::NoSuchShipment(id))
}
