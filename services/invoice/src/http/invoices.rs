//! The list of invoices, and one of them.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use feed_core::service::negotiate;

use super::App;
use super::context::{Before, Named};
use super::problem::Problem;
use crate::invoice::Invoice;
use crate::order::OrderId;
use crate::representation::{InvoiceDocument, ListDocument};
use crate::store::Store;

/// Invoices on a page of the list.
const PAGE: usize = 50;

/// Both resources come as both.
const OFFERS: &[&str] = &["text/html", "application/json"];

const VARY: [(header::HeaderName, &str); 1] = [(header::VARY, "Accept")];

/// A page of the list, newest first.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) invoices: Vec<Invoice>,
    /// All invoices, not only those of this page.
    pub(super) count: i64,
    /// True if this is not the first page.
    pub(super) continued: bool,
    /// The next page is of the orders before this one.
    pub(super) next: Option<OrderId>,
}

/// `GET /`: the invoices, for people or for programs.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    Before(before): Before,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let html = wants_html(&headers)?;
    let reader = app.database.reader();
    // One more than is shown: then there is a next page.
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut invoices = S::list(reader, before.unwrap_or(OrderId(i64::MAX)), limit).await?;
    let more = invoices.len() > PAGE;
    invoices.truncate(PAGE);
    let page = Page {
        count: S::count(reader).await?,
        continued: before.is_some(),
        next: invoices.last().filter(|_| more).map(|last| last.order),
        invoices,
    };
    if html {
        return Ok((VARY, app.pages.list(&page)).into_response());
    }
    let next = page.next.map(|id| app.pages.base().join(&next_page(id)));
    let document = ListDocument::new(&page.invoices, page.count, next.as_ref());
    Ok((VARY, Json(document)).into_response())
}

/// The page of the orders before `id`, relative to the base URL.
pub(super) fn next_page(id: OrderId) -> String {
    format!("?before={id}")
}

/// `GET /{id}`: the invoice for an order, for people or for programs.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let html = wants_html(&headers)?;
    let invoice = S::find(app.database.reader(), id).await?;
    let invoice = invoice.ok_or_else(|| Problem::NoSuchInvoice(id.to_string()))?;
    Ok(match html {
        true => (VARY, app.pages.invoice(&invoice)).into_response(),
        false => (VARY, Json(InvoiceDocument::new(&invoice))).into_response(),
    })
}

fn wants_html(headers: &HeaderMap) -> Result<bool, Problem> {
    match negotiate(headers, OFFERS) {
        Some(index) => Ok(index == 0),
        None => Err(Problem::NotAcceptable(OFFERS)),
    }
}
