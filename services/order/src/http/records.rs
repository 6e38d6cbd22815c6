//! The answers to an addition or a change of a customer or an item. A form leads to a page, a program gets a document.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::Wanted;
use feed_core::http::Json;
use feed_core::http::conditional::{Validators, guard_strongly, tagged, tagged_strongly};
use maud::Markup;
use serde::Serialize;

use super::body::Fields;
use super::mistyped::for_programs;
use super::problem::Problem;
use crate::rules::FieldError;

/// Answers a read with the page, or with the document and a tag for the `If-Match` of a change.
pub(super) async fn shown(
    headers: &HeaderMap,
    wanted: Wanted,
    form: impl FnOnce() -> Markup,
    document: impl Serialize,
) -> Response {
    let answer = wanted.answer(form, || document);
    match wanted {
        Wanted::Html => tagged(headers, answer).await,
        Wanted::Json => tagged_strongly(headers, answer).await,
    }
}

/// Returns the tag of a document, by which `If-Match` and forms name the state that they know.
pub(super) fn version(document: &impl Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string(document).map_err(|_| Problem::Internal)?;
    Ok(Validators::of("application/json", text.as_bytes()).tag)
}

/// Returns true if a form may replace what is stored `now`: it has shown that version, or changes nothing.
pub(super) fn may_replace<R: Serialize + PartialEq>(
    shown: Option<&str>,
    now: Option<&R>,
    new: &R,
) -> Result<bool, Problem> {
    Ok(match (shown, now) {
        (Some(shown), Some(now)) => shown == version(now)? || now == new,
        _ => true,
    })
}

/// Checks the preconditions of a change against the document as it is now.
pub(super) fn allow(headers: &HeaderMap, document: &impl Serialize) -> Result<(), Problem> {
    guard_strongly(headers, &[&version(document)?]).map_err(|_| Problem::PreconditionFailed)
}

/// Answers that the record was added at `location`. A form leads to `list`, which is relative so that it works behind
/// any prefix.
pub(super) async fn added(
    fields: &Fields,
    list: &'static str,
    location: String,
    document: impl Serialize,
) -> Response {
    if fields.form {
        return to(list);
    }
    let headers = [(header::LOCATION, location)];
    let answer = (StatusCode::CREATED, headers, Json(document)).into_response();
    tagged_strongly(&HeaderMap::new(), answer).await
}

/// Answers that the record was changed. A form leads to `list`, likewise.
pub(super) async fn changed(
    fields: &Fields,
    list: &'static str,
    document: impl Serialize,
) -> Response {
    if fields.form {
        return to(list);
    }
    let answer = Json(document).into_response();
    tagged_strongly(&HeaderMap::new(), answer).await
}

/// Answers with the `form` and a message at each wrong field; a program gets a problem document.
pub(super) fn refused(
    fields: &Fields,
    errors: Vec<FieldError>,
    form: impl FnOnce(&[FieldError]) -> Markup,
) -> Result<Response, Problem> {
    if !fields.form {
        return Err(Problem::Refused(for_programs(&fields.values, errors)));
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&errors)).into_response())
}

fn to(list: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, list)]).into_response()
}
