//! What the routes share: their state, and the answer to a request that has changed something.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::job::Job;
use crate::subscription::Again;
use feed_chassis::Wanted;
use feed_chassis::html::Frame;
use feed_core::Backend;
use feed_core::consumer::Handle;
use feed_core::http::Json;

/// The state of the routes.
pub(super) struct Site<B: Backend> {
    pub(super) handle: Handle<B>,
    pub(super) frame: Frame<'static>,
    /// Whether the service can compare its stored data with the feed.
    pub(super) compares: bool,
    pub(super) job: Arc<Job>,
    pub(super) again: Again,
}

impl<B: Backend> Clone for Site<B> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            frame: self.frame.clone(),
            compares: self.compares,
            job: Arc::clone(&self.job),
            again: self.again,
        }
    }
}

/// Answers a request that has changed something: redirects a browser to the page at `location`,
/// which is relative, so that it works behind any prefix; returns a document to a program.
pub(super) fn done(
    wanted: Wanted,
    location: &'static str,
    status: StatusCode,
    document: impl Serialize,
) -> Response {
    match wanted {
        Wanted::Html => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Wanted::Json => (status, Json(document)).into_response(),
    }
}
