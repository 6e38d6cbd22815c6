//! The list of shipments, one of them, and its dispatch.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::Database;
use feed_core::http::Problem;
use feed_core::http::conditional::{
    Validators, guard_strongly, is_conditional, tagged, tagged_strongly,
};
use tracing::info;

use super::pages::Pages;
use super::problem::{no_address, no_such_shipment, stopped};
use crate::order::OrderId;
use crate::representation::ShipmentDocument;
use crate::shipment::{Shipment, Status};
use crate::store::{Selection, Store};

/// What the handlers work with.
pub(super) struct App<S: Store> {
    pub(super) database: Database<S>,
    pub(super) pages: Pages,
}

type SharedApp<S> = Arc<App<S>>;

/// `GET /`: the shipments, or a selection of them, for people or for programs. With `?order=17` the list has that of this
/// order alone, if there is one. A client can wait for it with cheap requests, by the tag.
pub(super) async fn list<S: Store>(
    State(app): State<SharedApp<S>>,
    RawQuery(query): RawQuery,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref(), &["q", "status", "from", "to", "order"])?;
    let selection = Selection {
        order: query.number("order")?.map(OrderId),
        search: query.search(),
        status: query.choice("status", Status::ALL, Status::as_str)?,
        placed: query.days()?,
    };
    let (database, reader) = (&app.database, app.database.reader());
    let before = query.before().map(OrderId);
    let shipments = S::list(reader, &selection, before, list::LIMIT);
    let shipments = database.statement(shipments).await?;
    let count = database.statement(S::count(reader, &selection)).await?;
    let page = Page::new(shipments, count, query, |shipment| shipment.order.0);
    let document = || page.document("shipments", app.pages.base(), ShipmentDocument::new);
    let answer = wanted.answer(|| app.pages.list(&page), document);
    Ok(tagged(&headers, answer).await)
}

/// `GET /{id}`: the shipment of an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<SharedApp<S>>,
    Number(id): Number,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shipment = find(&app, OrderId(id)).await?;
    let answer = wanted.answer(
        || app.pages.shipment(&shipment),
        || ShipmentDocument::new(&shipment),
    );
    Ok(match wanted {
        Wanted::Html => tagged(&headers, answer).await,
        Wanted::Json => tagged_strongly(&headers, answer).await,
    })
}

/// `POST /{id}/dispatch`: records that the goods have left, and leads back to the page. A second time changes nothing.
pub(super) async fn dispatch<S: Store>(
    State(app): State<SharedApp<S>>,
    Number(id): Number,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    allow(&app, id, &headers).await?;
    let dispatched = S::dispatch(app.database.writer(), id);
    if app.database.statement(dispatched).await? {
        info!(order.id = %id, "dispatched order {id}");
    } else {
        match find(&app, id).await?.status() {
            Status::Stopped => return Err(stopped(id)),
            // It would have been dispatched otherwise.
            Status::Pending => return Err(no_address(id)),
            Status::Dispatched | Status::Recalled => {}
        }
    }
    // Relative to this address, so that it works behind any prefix.
    let page = [(header::LOCATION, format!("../{id}"))];
    Ok((StatusCode::SEE_OTHER, page).into_response())
}

/// Refuses a dispatch whose preconditions fail.
async fn allow<S: Store>(app: &App<S>, id: OrderId, headers: &HeaderMap) -> Result<(), Problem> {
    if !is_conditional(headers) {
        return Ok(());
    }
    let shipment = find(app, id).await?;
    let document = serde_json::to_string(&ShipmentDocument::new(&shipment));
    let document = document.map_err(|_| Problem::internal())?;
    // The page has a weak tag, which no change can name.
    let known = Validators::of("application/json", document.as_bytes());
    guard_strongly(headers, &[&known.tag])
}

async fn find<S: Store>(app: &App<S>, id: OrderId) -> Result<Shipment, Problem> {
    let shipment = S::find(app.database.reader(), id);
    let shipment = app.database.statement(shipment).await?;
    shipment.ok_or_else(|| no_such_shipment(id))
}
