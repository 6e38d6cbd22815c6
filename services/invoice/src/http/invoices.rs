//! The list of invoices, and one of them.

use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Before, Page};
use feed_chassis::{Number, Wanted};
use feed_core::http::Problem;
use feed_core::http::conditional::tagged;

use super::App;
use super::problem::{no_such_invoice, not_credited};
use crate::order::OrderId;
use crate::representation::InvoiceDocument;
use crate::store::Store;

/// `GET /`: the invoices, for people or for programs.
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
    let invoices = S::list(reader, OrderId(before.number()), list::LIMIT).await?;
    let count = S::count(reader).await?;
    let page = Page::new(invoices, count, before, |invoice| invoice.order.0);
    let document = || page.document("invoices", app.pages.base(), InvoiceDocument::new);
    Ok(wanted.answer(|| app.pages.list(&page), document))
}

/// `GET /?order=17`: the same list with the invoice for that order alone, if there is one. With a tag,
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
    let page = Page::new(found, count, Before::default(), |invoice| invoice.order.0);
    let document = || page.document("invoices", app.pages.base(), InvoiceDocument::new);
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

/// `GET /{id}`: the invoice for an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let invoice = S::find(app.database.reader(), id).await?;
    let invoice = invoice.ok_or_else(|| no_such_invoice(id))?;
    Ok(wanted.answer(
        || app.pages.invoice(&invoice),
        || InvoiceDocument::new(&invoice),
    ))
}

/// `GET /{id}/credit-note`: the credit note to the invoice for an order that was cancelled.
pub(super) async fn credit_note<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let invoice = S::find(app.database.reader(), id).await?;
    let invoice = invoice.ok_or_else(|| no_such_invoice(id))?;
    let credited = invoice.credited.ok_or_else(|| not_credited(id))?;
    Ok(app.pages.credit_note(&invoice, credited).into_response())
}
