//! An answer in JSON.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::Problem;

/// An answer in JSON. What cannot be written is logged, and answered as a problem document.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(error) => Problem::internal()
                .caused_by("cannot write JSON", error)
                .into_response(),
        }
    }
}
