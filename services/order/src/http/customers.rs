//! Customers: the list, additions and changes, for people by forms and for programs as JSON. A change does not touch
//! orders that were placed before.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::http::conditional::{is_conditional, tagged};
use maud::Markup;
use tracing::info;

use super::app::App;
use super::body::Fields;
use super::pages::Shown;
use super::problem::Problem;
use super::records::{added, allow, changed, may_replace, refused, shown, version};
use crate::order::{Customer, CustomerId};
use crate::rules::{DraftCustomer, FieldError};
use crate::store::Store;

/// `GET /customers`: the newest first, or those that match `?q=`.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    RawQuery(query): RawQuery,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref(), &["q"])?;
    let search = query.search();
    let reader = app.orders.database().reader();
    let id = CustomerId(query.before());
    let customers = S::customers(reader, search.as_ref(), id, list::LIMIT).await?;
    let count = S::count_customers(reader, search.as_ref()).await?;
    let page = Page::new(customers, count, query, |customer| customer.id.0).at("customers");
    let document = || page.document("customers", app.pages.base(), |customer| customer.clone());
    let answer = wanted.answer(|| app.pages.customers(&page), document);
    Ok(tagged(&headers, answer).await)
}

/// `GET /customers/new`: the form for a new one.
pub(super) async fn blank<S: Store>(State(app): State<App<S>>) -> Response {
    form(&app, None, &DraftCustomer::default(), "", &[]).into_response()
}

/// `POST /customers`: a new one.
pub(super) async fn create<S: Store>(
    State(app): State<App<S>>,
    fields: Fields,
) -> Result<Response, Problem> {
    let draft = draft(&fields);
    let new = match draft.clone().check() {
        Ok(new) => new,
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                form(&app, None, &draft, "", errors)
            });
        }
    };
    let customer = S::insert_customer(app.orders.database().writer(), new).await?;
    info!(customer.id = %customer.id, "added customer {}", customer.id);
    let location = app.pages.base().join(&customer.id.path()).to_string();
    Ok(added(&fields, "customers", location, customer).await)
}

/// `GET /customers/{id}`: the form to change one, or the document.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = CustomerId(id);
    let customer = S::customer(app.orders.database().reader(), id).await?;
    let customer = customer.ok_or(Problem::NoSuchCustomer(id))?;
    let version = version(&customer)?;
    let form = || {
        form(
            &app,
            Some(id),
            &DraftCustomer::from(&customer),
            &version,
            &[],
        )
    };
    Ok(shown(&headers, wanted, form, &customer).await)
}

/// `POST /customers/{id}` from the form, `PUT` from a program: changes one. The form is shown again if it was changed
/// since, and asks.
pub(super) async fn change<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Result<Response, Problem> {
    let id = CustomerId(id);
    let writer = app.orders.database().writer();
    let now = S::customer(writer, id).await?;
    let now = now.ok_or(Problem::NoSuchCustomer(id))?;
    let fields = fields?;
    let draft = draft(&fields);
    let known = fields.version();
    let customer: Customer = match draft.clone().check() {
        Ok(new) => new.with_id(id),
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                form(&app, Some(id), &draft, &known.unwrap_or_default(), errors)
            });
        }
    };
    allow(&headers, &now)?;
    let only = (is_conditional(&headers) || known.is_some()).then_some(now);
    let may_replace = may_replace(known.as_deref(), only.as_ref(), &customer)?;
    if !may_replace || !S::update_customer(writer, &customer, only.as_ref()).await? {
        let now = S::customer(writer, id).await?;
        let now = now.ok_or(Problem::NoSuchCustomer(id))?;
        if known.is_none() {
            return Err(Problem::PreconditionFailed);
        }
        let shown = Shown {
            draft: &DraftCustomer::from(&customer),
            version: &version(&now)?,
            errors: &[],
            now: Some(&DraftCustomer::from(&now)),
        };
        return Ok((
            StatusCode::CONFLICT,
            app.pages.customer_form(Some(id), shown),
        )
            .into_response());
    }
    info!(customer.id = %id, "changed customer {id}");
    Ok(changed(&fields, "../customers", customer).await)
}

/// The form for a new one, or for the one with `id` in the state `version`.
fn form<S: Store>(
    app: &App<S>,
    id: Option<CustomerId>,
    draft: &DraftCustomer,
    version: &str,
    errors: &[FieldError],
) -> Markup {
    let shown = Shown {
        draft,
        version,
        errors,
        now: None,
    };
    app.pages.customer_form(id, shown)
}

pub(super) fn draft(fields: &Fields) -> DraftCustomer {
    DraftCustomer {
        firstname: fields.text("firstname"),
        name: fields.text("name"),
        email: fields.text("email"),
    }
}
