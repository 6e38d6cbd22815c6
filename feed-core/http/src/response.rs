//! Problems, JSON and conditional answers as responses of axum.

use std::error::Error;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use crate::Problem;
use crate::conditional::{Outcome, Validators, evaluate, evaluate_strongly};

/// Responds with `application/problem+json`, which caches must not store. The text for a page
/// ([`Page`]), and the failure behind the problem ([`Failure`](crate::Failure)), are in the
/// response's extensions.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.document()).into_response();
        response.extensions_mut().insert(Page::of(&self));
        if let Some(failure) = self.failure {
            let error: &dyn Error = &*failure.error;
            tracing::error!(error, "{}", failure.tried);
            response.extensions_mut().insert(*failure);
        }
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

/// The text of a problem for a page. It travels with the document
/// ([`http::Extensions`]) to the layer that makes the page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The title of the problem's type.
    pub title: &'static str,
    /// What happened this time.
    pub detail: String,
    /// What is wrong with each field of a form, from the member `errors`.
    pub messages: Vec<String>,
}

impl Page {
    fn of(problem: &Problem) -> Self {
        let errors = problem.members.get("errors").and_then(Value::as_array);
        let message = |error: &Value| {
            let text = |name: &str| error[name].as_str().unwrap_or_default();
            format!("{}: {}", text("field"), text("message"))
        };
        Self {
            title: problem.title,
            detail: problem.detail.clone(),
            messages: errors.into_iter().flatten().map(message).collect(),
        }
    }
}

/// An answer in JSON. If serialization fails, it is logged, and a problem document is sent.
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

/// Completes the answer to a read of a resource with several forms (`Vary: Accept`): returns
/// `answer` with a tag of its bytes, or a `304` or `412` by the request's conditions. The body of
/// `answer` must be in memory.
pub async fn tagged(headers: &HeaderMap, answer: Response) -> Response {
    complete(answer, |validators| {
        (validators.etag(), evaluate(headers, validators))
    })
    .await
}

/// The same with a strong tag, which a client can name in the `If-Match` of a change. So nothing may
/// change the bytes on their way, such as a content coding of a proxy: send it with `no-transform`.
pub async fn tagged_strongly(headers: &HeaderMap, answer: Response) -> Response {
    complete(answer, |validators| {
        let tag = &validators.tag;
        (format!("\"{tag}\""), evaluate_strongly(headers, &[tag]))
    })
    .await
}

async fn complete(
    answer: Response,
    evaluate: impl FnOnce(&Validators) -> (String, Outcome),
) -> Response {
    let (parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Problem::internal().into_response();
    };
    let media_type = parts.headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let validators = Validators::of(media_type.unwrap_or_default(), &body);
    let (etag, outcome) = evaluate(&validators);
    let metadata = [(header::VARY, "Accept".to_owned()), (header::ETAG, etag)];
    match outcome {
        Outcome::Failed => Problem::precondition_failed().into_response(),
        Outcome::NotModified => (StatusCode::NOT_MODIFIED, metadata).into_response(),
        Outcome::Proceed => (metadata, (parts, Body::from(body))).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tag_stands_for_media_type_and_bytes() {
        let answer = |media_type: &str, body: &str| {
            let media_type = [(header::CONTENT_TYPE, media_type.to_owned())];
            (media_type, body.to_owned()).into_response()
        };
        let nothing = HeaderMap::new();
        let mut tags = std::collections::BTreeSet::new();
        for (media_type, body) in [("text/a", "1"), ("text/a", "2"), ("text/b", "1")] {
            let first = tagged(&nothing, answer(media_type, body)).await;
            let tag = first.headers()[header::ETAG].clone();
            assert_eq!(to_bytes(first.into_body(), 9).await.expect("a body"), body);
            let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.clone())]);
            let again = tagged(&known, answer(media_type, body)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(again.headers()[header::ETAG], tag);
            assert!(tags.insert(tag.as_bytes().to_owned()));
        }
    }
}
