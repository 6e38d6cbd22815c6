//! Documents that describe a service for programs, such as OpenAPI.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::routing::get;
use feed_http::conditional::{Outcome, Validators, evaluate};
use feed_http::{BaseUrl, Problem};

/// A document that describes a service: written once, since it changes with program and settings only.
#[derive(Debug, Clone)]
pub struct ServiceDescription {
    path: &'static str,
    media_type: &'static str,
    body: Bytes,
    validators: Validators,
}

impl ServiceDescription {
    /// Creates the document at `path`, which begins with a slash.
    #[must_use]
    pub fn new(path: &'static str, media_type: &'static str, text: String) -> Self {
        Self {
            path,
            media_type,
            validators: Validators::of(media_type, text.as_bytes()),
            body: text.into(),
        }
    }

    /// Adds it to the routes of a service, and a link to it (`Link: rel=service-desc`, RFC 8631) to their answers.
    pub fn add_to(self, router: Router, base: &BaseUrl) -> Router {
        let (path, media_type) = (self.path, self.media_type);
        let address = base.path(path.trim_start_matches('/'));
        // An address is ASCII.
        let link = format!("<{address}>; rel=\"service-desc\"; type=\"{media_type}\"");
        let link = HeaderValue::try_from(link).ok();
        let show = move |headers: HeaderMap| async move { self.answer(&headers) };
        router
            .layer(map_response(move |response| {
                std::future::ready(leading_to(link.clone(), response))
            }))
            .route(path, get(show))
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let metadata: [(HeaderName, String); 2] = [
            (header::CACHE_CONTROL, "max-age=300".to_owned()),
            (header::ETAG, self.validators.etag()),
        ];
        match evaluate(headers, &self.validators) {
            Outcome::Failed => Problem::precondition_failed().into_response(),
            Outcome::NotModified => (StatusCode::NOT_MODIFIED, metadata).into_response(),
            Outcome::Proceed => {
                let media_type = [(header::CONTENT_TYPE, self.media_type)];
                (metadata, media_type, self.body.clone()).into_response()
            }
        }
    }
}

fn leading_to(link: Option<HeaderValue>, mut response: Response) -> Response {
    // A cache would replace all links of the stored answer by those of a 304 (RFC 9111, section 3.2).
    if let Some(link) = link.filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
        response.headers_mut().append(header::LINK, link);
    }
    response
}
