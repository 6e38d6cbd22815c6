//! Parses and validates a submitted form.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use feed_chassis::{FORM, read_body};
use feed_core::http::Problem;

/// The largest form: a reason is a few sentences.
pub(super) const MAX_BODY: usize = 16 * 1024;

/// The longest value of a field, in characters.
pub(super) const LONGEST: usize = 1000;

/// The fields of a form, and the errors of those that were read.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
    /// The names of the fields that were read.
    asked: Vec<String>,
    errors: Vec<Value>,
}

impl Form {
    /// Returns the value of a field, without surrounding blanks; `None` if there is no such field.
    pub(super) fn optional(&mut self, name: &str) -> Option<String> {
        self.asked.push(name.to_owned());
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        let value = value.clone();
        if value.trim().is_empty() {
            self.refuse(name, "is missing");
        } else if value.chars().count() > LONGEST {
            self.refuse(name, &format!("is longer than {LONGEST} characters"));
        } else if value.chars().any(char::is_control) {
            self.refuse(name, "has control characters");
        }
        Some(value.trim().to_owned())
    }

    /// Returns the value of a field as it is: a text that we have written ourselves.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        self.asked.push(name.to_owned());
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        // PostgreSQL stores no NUL.
        match value.contains('\0') {
            true => Some(value.replace('\0', "")),
            false => Some(value.clone()),
        }
    }

    /// Returns the value of a required field.
    pub(super) fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.refuse(name, "is missing");
            String::new()
        })
    }

    /// Records what is wrong with a field.
    pub(super) fn refuse(&mut self, field: &str, message: &str) {
        self.errors
            .push(json!({"field": field, "message": message}));
    }

    /// Returns a `422` that names each wrong field.
    ///
    /// An unknown field is wrong too: a misspelt `event` must not mean all events.
    pub(super) fn check(mut self) -> Result<(), Problem> {
        let names = self.fields.iter().map(|(name, _)| name.clone());
        let unknown: Vec<String> = names.filter(|name| !self.asked.contains(name)).collect();
        for name in unknown {
            self.refuse(&name, "is no field of this form");
        }
        let Some(first) = self.errors.first() else {
            return Ok(());
        };
        let text = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
        let detail = format!("`{}` {}", text("field"), text("message"));
        Err(invalid(detail).member("errors", self.errors))
    }
}

/// Returns a `422` for a valid form that cannot be executed.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-decision",
        "The decision is not complete",
        detail,
    )
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = read_body(request, state, FORM, MAX_BODY).await?;
        Ok(Self {
            fields: form_urlencoded::parse(&body).into_owned().collect(),
            asked: Vec::new(),
            errors: Vec::new(),
        })
    }
}
