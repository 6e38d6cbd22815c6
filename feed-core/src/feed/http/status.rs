//! Serves `/feed/status`: the state of the publishing side, for operators and their programs.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::NO_STORE;
use crate::feed::Feed;
use crate::http::{Json, Problem, query};
use crate::store::Backend;

pub(super) async fn status<B: Backend>(
    State(feed): State<Feed<B>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    query::none(query.as_deref())?;
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE))];
    Ok((headers, Json(feed.status().await?)).into_response())
}
