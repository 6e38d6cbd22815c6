//! Errors in the form for clients: problem details (RFC 9457).
//!
//! The crate `problem_details` would save the document alone: it has no headers such as `Allow`, no
//! cause for the log, and no text for a page.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::namespace::NAMESPACE;

/// An error to send to a client: `application/problem+json`, never stored by a cache.
///
/// ```
/// use feed_http::Problem;
///
/// let problem = Problem::not_found("there is no order 17");
/// assert_eq!(problem.status(), 404);
/// ```
#[derive(Debug, Clone)]
pub struct Problem {
    pub(crate) status: StatusCode,
    name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    pub(crate) members: Map<String, Value>,
    pub(crate) headers: Vec<(header::HeaderName, HeaderValue)>,
    pub(crate) failure: Option<Box<Failure>>,
}

/// The cause of a failure on the server's side. It travels with the response
/// ([`http::Extensions`]) to layers that use it; the client does not see it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The operation that failed, for the log.
    pub tried: &'static str,
    /// The error of that operation.
    pub error: Arc<dyn Error + Send + Sync>,
}

impl Problem {
    /// Creates a problem: `name` ends its `type`, a URI that stays the same for ever; `title` is
    /// the same for each problem of the type, `detail` describes this occurrence.
    #[must_use]
    pub fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            name,
            title,
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
            failure: None,
        }
    }

    /// `400`: the request does not follow the documented form.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        let title = "The request is malformed";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", title, detail)
    }

    /// `404`: no such resource exists.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            detail,
        )
    }

    /// `405` with `Allow`.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This resource does not answer that method",
            format!("it answers {allow}"),
        )
        .header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// `406`: `offers` are all media types that exist.
    #[must_use]
    pub fn not_acceptable(offers: &[&str]) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "not-acceptable",
            "No acceptable representation",
            format!("this resource comes as {}", offers.join(" or ")),
        )
        .header(header::VARY, HeaderValue::from_static("Accept"))
    }

    /// `412`: a precondition of the client fails.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "A precondition does not hold",
            "the resource is not in the state that the request's conditions ask for",
        )
    }

    /// `503` with `Retry-After`: a retry may succeed soon. It has a connection of its own, which a balancer may assign to
    /// another instance.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let title = "The service cannot answer right now";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            title,
            detail,
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// `500`: an internal error, logged where it happened.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The service failed",
            "the fault is ours and has been logged",
        )
    }

    /// Attaches the error that caused it. When the response is made, the log gets it with the
    /// operation; the client does not.
    #[must_use]
    pub fn caused_by(
        mut self,
        tried: &'static str,
        error: impl Error + Send + Sync + 'static,
    ) -> Self {
        let error = Arc::new(error);
        self.failure = Some(Box::new(Failure { tried, error }));
        self
    }

    /// Adds a member (RFC 9457, 3.2).
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns what happened, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the problem document, as JSON.
    #[must_use]
    pub fn document(&self) -> String {
        let document = Document {
            kind: format!("{NAMESPACE}#{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            members: &self.members,
        };
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }
}

/// Problem details, with the members in the order of RFC 9457, 3.1.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let failure = self.failure.as_ref()?;
        Some(&*failure.error)
    }
}
