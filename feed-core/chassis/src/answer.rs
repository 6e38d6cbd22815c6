//! Answers as a page or as JSON, which shared caches must not store.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use serde::Serialize;

use feed_http::{Json, Problem, negotiate};

/// The form that a client prefers of a resource with a page for people and JSON for programs.
/// Without a preference it gets the page.
///
/// As an extractor it answers `406` to a client that accepts neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The page
    Html,
    /// The document
    Json,
}

impl Wanted {
    /// Returns the answer in the preferred form.
    pub fn answer<J: Serialize>(
        self,
        html: impl FnOnce() -> Markup,
        json: impl FnOnce() -> J,
    ) -> Response {
        let vary = [(header::VARY, "Accept")];
        match self {
            Self::Html => (vary, html()).into_response(),
            Self::Json => (vary, Json(json())).into_response(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let offers = ["text/html", "application/json"];
        match negotiate(&parts.headers, &offers) {
            Some(0) => Ok(Self::Html),
            Some(_) => Ok(Self::Json),
            None => Err(Problem::not_acceptable(&offers)),
        }
    }
}

/// A layer, by [`axum::middleware::map_response`]: keeps shared caches from storing answers, since
/// these are for one client at one moment. An answer with a `Cache-Control` of its own stays as it
/// is. An answer with a strong tag must not be compressed on its way: a proxy that does it changes the tag (Caddy, Apache), and
/// a change with that tag in `If-Match` would fail for ever.
pub async fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let tag = headers.get(header::ETAG);
    let caching = match tag.is_some_and(|tag| tag.as_bytes().starts_with(b"\"")) {
        true => "private, no-cache, no-transform",
        false => "private, no-cache",
    };
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(caching));
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn a_client_gets_what_it_wants() {
        for (accept, expected) in [
            ("text/html,*/*;q=0.8", Ok(Wanted::Html)),
            ("*/*", Ok(Wanted::Html)),
            ("application/json", Ok(Wanted::Json)),
            ("image/png", Err(406)),
        ] {
            let request = Request::get("/").header(header::ACCEPT, accept).body(());
            let (mut parts, ()) = request.expect("a request").into_parts();
            let wanted = Wanted::from_request_parts(&mut parts, &()).await;
            assert_eq!(wanted.map_err(|problem| problem.status()), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_with_cache_control_stays_unchanged() {
        let plain = keep_private("".into_response()).await;
        assert_eq!(plain.headers()["cache-control"], "private, no-cache");
        for (tag, expected) in [
            ("W/\"1\"", "private, no-cache"),
            ("\"1\"", "private, no-cache, no-transform"),
        ] {
            let tagged = keep_private(([(header::ETAG, tag)], "").into_response()).await;
            assert_eq!(tagged.headers()["cache-control"], expected);
        }
        let problem = keep_private(Problem::internal().into_response()).await;
        assert_eq!(problem.headers()["cache-control"], "no-store");
    }
}
