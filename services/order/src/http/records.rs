//! The answers to an addition or a change of a customer or an item. A form leads to a page, a program gets a document.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_core::http::Json;
use maud::Markup;
use serde::Serialize;

use super::body::Fields;
use super::problem::Problem;
use crate::rules::FieldError;

/// Answers that the record was added at `location`. A form leads to `list`, which is relative so that it works behind
/// any prefix.
pub(super) fn added(
    fields: &Fields,
    list: &'static str,
    location: String,
    document: impl Serialize,
) -> Response {
    if fields.form {
        return to(list);
    }
    let headers = [(header::LOCATION, location)];
    (StatusCode::CREATED, headers, Json(document)).into_response()
}

/// Answers that the record was changed. A form leads to `list`, likewise.
pub(super) fn changed(fields: &Fields, list: &'static str, document: impl Serialize) -> Response {
    if fields.form {
        return to(list);
    }
    Json(document).into_response()
}

/// Answers with the `form` and a message at each wrong field; a program gets a problem document.
pub(super) fn refused(
    fields: &Fields,
    errors: Vec<FieldError>,
    form: impl FnOnce(&[FieldError]) -> Markup,
) -> Result<Response, Problem> {
    if !fields.form {
        return Err(Problem::Refused(errors));
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&errors)).into_response())
}

fn to(list: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, list)]).into_response()
}
