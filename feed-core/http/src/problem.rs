//! Errors as a client sees them: problem details (RFC 9457).

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::namespace::NAMESPACE;

/// An error on its way to a client: `application/problem+json`, never stored by a cache.
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

/// What went wrong on our side. It travels beside the response ([`http::Extensions`](http::Extensions))
/// to layers that want to know of it; the client does not see it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was tried, for the log.
    pub tried: &'static str,
    /// Why it did not work.
    pub error: Arc<dyn Error + Send + Sync>,
}

impl Problem {
    /// A problem of a kind: `name` ends its `type`, a URI that stays the same for ever; `title`
    /// is the same for each problem of the kind, `detail` says what happened this time.
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

    /// `400`: the request does not follow the form that is documented.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        let title = "The request is malformed";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", title, detail)
    }

    /// `404`: nothing is there.
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

    /// `406`: `offers` are all there is.
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

    /// `412`: the client's precondition does not hold.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "A precondition does not hold",
            "the resource is not in the state that the request's conditions ask for",
        )
    }

    /// `503` with `Retry-After`: it may work in a moment.
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
    }

    /// `500`: a fault of ours, logged where it happened.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The service failed",
            "the fault is ours and has been logged",
        )
    }

    /// Keeps the error that caused it. The log gets it, beside what was tried, when the response is made; the
    /// client does not.
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

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// What happened, for a person.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem document, as JSON.
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
