//! The list of invoices, and one of them.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::Database;
use feed_core::http::Problem;
use feed_core::http::conditional::tagged;

use super::pages::Pages;
use super::problem::{no_such_invoice, not_credited};
use crate::invoice::{Invoice, Status};
use crate::order::OrderId;
use crate::representation::{CreditNoteDocument, InvoiceDocument};
use crate::store::{Selection, Store};

/// What the handlers work with.
pub(super) struct App<S: Store> {
    pub(super) database: Database<S>,
    pub(super) pages: Pages,
}

type SharedApp<S> = Arc<App<S>>;

/// `GET /`: the invoices, or a selection of them, for people or for programs. With `?order=17` the list has that of this
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
        issued: query.days()?,
    };
    let (database, reader) = (&app.database, app.database.reader());
    let before = query.before().map(OrderId);
    let invoices = S::list(reader, &selection, before, list::LIMIT);
    let invoices = database.statement(invoices).await?;
    let count = database.statement(S::count(reader, &selection)).await?;
    let page = Page::new(invoices, count, query, |invoice| invoice.order.0);
    let base = app.pages.base();
    let document = || page.document("invoices", base, |one| InvoiceDocument::new(one, base));
    let answer = wanted.answer(|| app.pages.list(&page), document);
    Ok(tagged(&headers, answer).await)
}

/// `GET /{id}`: the invoice for an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<SharedApp<S>>,
    Number(id): Number,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let invoice = find(&app, id).await?;
    let answer = wanted.answer(
        || app.pages.invoice(&invoice),
        || InvoiceDocument::new(&invoice, app.pages.base()),
    );
    Ok(tagged(&headers, answer).await)
}

/// `GET /{id}/credit-note`: the credit note to the invoice for an order that was cancelled, for people or for programs.
pub(super) async fn credit_note<S: Store>(
    State(app): State<SharedApp<S>>,
    Number(id): Number,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let invoice = find(&app, id).await?;
    let credited = invoice.credited.ok_or_else(|| not_credited(id))?;
    let answer = wanted.answer(
        || app.pages.credit_note(&invoice, credited),
        || CreditNoteDocument::new(&invoice, credited, app.pages.base()),
    );
    Ok(tagged(&headers, answer).await)
}

async fn find<S: Store>(app: &App<S>, id: OrderId) -> Result<Invoice, Problem> {
    let invoice = S::find(app.database.reader(), id);
    let invoice = app.database.statement(invoice).await?;
    invoice.ok_or_else(|| no_such_invoice(id))
}
