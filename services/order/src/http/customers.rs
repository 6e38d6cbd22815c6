//! Customers: the list, a new one, and a change, for people by forms and for programs as JSON. What was
//! sold stays as it was.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::service::list::{self, Before, Page, Search};
use feed_core::service::{Json, Number, Wanted};
use tracing::info;

use super::App;
use super::body::Fields;
use super::problem::Problem;
use crate::order::{Customer, CustomerId};
use crate::rules::{DraftCustomer, FieldError};
use crate::store::Store;

/// `GET /customers`: the newest first, or those that match `?q=`.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    before: Before,
    search: Search,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let reader = app.orders.database().reader();
    let id = CustomerId(before.number());
    let customers = S::customers(reader, search.text(), id, list::LIMIT).await?;
    let count = S::count_customers(reader, search.text()).await?;
    let page = Page::new(customers, count, before, |customer| customer.id.0)
        .at("customers")
        .matching(search);
    let document = || page.document("customers", app.pages.base(), |customer| customer.clone());
    Ok(wanted.answer(|| app.pages.customers(&page), document))
}

/// `GET /customers/new`: the form for a new one.
pub(super) async fn blank<S: Store>(State(app): State<App<S>>) -> Response {
    let draft = DraftCustomer::default();
    app.pages.customer_form(None, &draft, &[]).into_response()
}

/// `POST /customers`: a new one.
pub(super) async fn create<S: Store>(
    State(app): State<App<S>>,
    fields: Fields,
) -> Result<Response, Problem> {
    let draft = draft(&fields);
    let new = match draft.clone().check() {
        Ok(new) => new,
        Err(errors) => return refused(&app, &fields, None, &draft, errors),
    };
    let customer = S::insert_customer(app.orders.database().writer(), new).await?;
    info!(customer.id = %customer.id, "added customer {}", customer.id);
    if fields.form {
        return Ok(to_list("customers"));
    }
    let location = app.pages.base().join(&customer.id.path()).to_string();
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(customer)).into_response())
}

/// `GET /customers/{id}`: the form to change one, or the document.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let id = CustomerId(id);
    let customer = S::customer(app.orders.database().reader(), id).await?;
    let customer = customer.ok_or(Problem::NoSuchCustomer(id))?;
    let form = || {
        app.pages
            .customer_form(Some(id), &DraftCustomer::from(&customer), &[])
    };
    Ok(wanted.answer(form, || customer.clone()))
}

/// `POST /customers/{id}` from the form, `PUT` from a program: changes one.
pub(super) async fn change<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    fields: Fields,
) -> Result<Response, Problem> {
    let id = CustomerId(id);
    let draft = draft(&fields);
    let customer: Customer = match draft.clone().check() {
        Ok(new) => new.with_id(id),
        Err(errors) => return refused(&app, &fields, Some(id), &draft, errors),
    };
    if !S::update_customer(app.orders.database().writer(), &customer).await? {
        return Err(Problem::NoSuchCustomer(id));
    }
    info!(customer.id = %id, "changed customer {id}");
    if fields.form {
        return Ok(to_list("../customers"));
    }
    Ok(Json(customer).into_response())
}

fn draft(fields: &Fields) -> DraftCustomer {
    DraftCustomer {
        firstname: fields.text("firstname"),
        name: fields.text("name"),
        email: fields.text("email"),
    }
}

/// The form again, with what is wrong at each field; a program gets a problem document.
fn refused<S: Store>(
    app: &App<S>,
    fields: &Fields,
    id: Option<CustomerId>,
    draft: &DraftCustomer,
    errors: Vec<FieldError>,
) -> Result<Response, Problem> {
    if !fields.form {
        return Err(Problem::Refused(errors));
    }
    let form = app.pages.customer_form(id, draft, &errors);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response())
}

/// Back to the list; relative, so that it holds behind any prefix.
fn to_list(location: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
