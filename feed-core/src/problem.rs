//! Errors as a client sees them: problem details (RFC 9457).

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::error::ErrorKind;

use crate::database::patience::learn_from;
use crate::namespace::NAMESPACE;

/// An error on its way to a client: `application/problem+json`, never stored by a cache.
///
/// ```
/// use feed_core::Problem;
///
/// let problem = Problem::not_found("there is no order 17");
/// assert_eq!(problem.status(), 404);
/// ```
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
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

    /// The problem for a client when the database failed. The cause is logged here, once, and
    /// not told.
    #[must_use]
    pub fn from_database(error: &sqlx::Error) -> Self {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the database failed"
        );
        learn_from(error);
        match error {
            // It does answer: with what we have done wrong.
            sqlx::Error::Database(refused) if refused.kind() != ErrorKind::Other => {
                Self::internal()
            }
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Database(_) => Self::unavailable("the database does not answer"),
            _ => Self::internal(),
        }
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
}

/// Problem details (RFC 9457). A browser is told the same on a page
// The members in the order of 3.1 there.
#[derive(Serialize, JsonSchema)]
#[schemars(transform = with_errors)]
struct Document<'a> {
    /// The kind of problem: a URI that stays the same for ever
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    kind: String,
    /// The kind of problem, for people
    title: &'a str,
    /// The status code of the answer
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What happened this time, for people
    detail: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

/// What a person is told of a problem. It travels beside the document ([`http::Extensions`]) to
/// whoever makes a page of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    /// What is wrong with each field of a form.
    pub(crate) messages: Vec<String>,
}

impl Told {
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

/// A member that several services add.
fn with_errors(schema: &mut Schema) {
    let errors = json!({
        "description": "What is wrong with a body, field by field",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "field": {"description": "The field: `orderLine[2].count`", "type": "string"},
                "message": {"description": "What is wrong with it, for people", "type": "string"},
            },
            "required": ["field", "message"],
        },
    });
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.insert("errors".to_owned(), errors);
    }
}

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(types: &mut SchemaGenerator) -> Schema {
        Document::json_schema(types)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::from_database(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            kind: format!("{NAMESPACE}#{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            members: &self.members,
        };
        let body = serde_json::to_string_pretty(&document).unwrap_or_default();
        let mut response = (self.status, body + "\n").into_response();
        response.extensions_mut().insert(Told::of(&self));
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
