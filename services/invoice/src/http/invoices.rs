//! The list of invoices, and one of them.

use axum::extract::State;
use axum::response::Response;
use feed_core::service::list::{self, Before, Page};
use feed_core::service::{Number, Wanted};

use super::App;
use super::problem::Problem;
use crate::order::OrderId;
use crate::representation::InvoiceDocument;
use crate::store::Store;

/// `GET /`: the invoices, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    before: Before,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let reader = app.database.reader();
    let invoices = S::list(reader, OrderId(before.number()), list::LIMIT).await?;
    let count = S::count(reader).await?;
    let page = Page::new(invoices, count, before, |invoice| invoice.order.0);
    let document = || page.document("invoices", app.pages.base(), InvoiceDocument::new);
    Ok(wanted.answer(|| app.pages.list(&page), document))
}

/// `GET /{id}`: the invoice for an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let id = OrderId(id);
    let invoice = S::find(app.database.reader(), id).await?;
    let invoice = invoice.ok_or(Problem::NoSuchInvoice(id))?;
    Ok(wanted.answer(
        || app.pages.invoice(&invoice),
        || InvoiceDocument::new(&invoice),
    ))
}
