//! Parses and validates a submitted form.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use feed_chassis::{FORM, read_body};
use feed_core::consumer::{TextError, check_name, check_reason};
use feed_core::http::Problem;

/// The largest form: a reason is a few sentences.
pub(super) const MAX_BODY: usize = 16 * 1024;

/// The fields of a form, and the errors of those that were read.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
    /// The names of the fields that were read.
    asked: Vec<String>,
    errors: Vec<Value>,
}

impl Form {
    /// Returns the value of a field as it is: a text that we have written ourselves, or a feed; `None` if there is no such field.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        self.asked.push(name.to_owned());
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let (_, value) = values.next()?;
        let value = value.clone();
        if values.next().is_some() {
            self.refuse(name, "occurs more than once");
        }
        Some(value)
    }

    /// Returns the id of an event or a subject, as a feed gives it; `None` if there is no such field.
    pub(super) fn event(&mut self) -> Option<String> {
        let event = self.optional_text("event")?;
        if event.trim().is_empty() {
            self.refuse("event", "is missing");
        } else if event.contains('\0') {
            self.refuse("event", "has control characters");
        }
        // Browsers send the line breaks of a field so.
        Some(event.replace("\r\n", "\n"))
    }

    /// Returns the value of a required field that is recorded, as `check` returns it.
    fn recorded(&mut self, name: &str, check: fn(&str) -> Result<&str, TextError>) -> String {
        let text = self.optional_text(name).unwrap_or_default();
        match check(&text) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                self.refuse(name, &error.to_string());
                String::new()
            }
        }
    }

    /// Returns the operator's name.
    pub(super) fn by(&mut self) -> String {
        self.recorded("by", check_name)
    }

    /// Returns the reason for a decision.
    pub(super) fn reason(&mut self) -> String {
        self.recorded("reason", check_reason)
    }

    /// Returns the value of a required field of our own, without surrounding blanks.
    pub(super) fn required(&mut self, name: &str) -> String {
        let value = self.optional_text(name).unwrap_or_default();
        if value.trim().is_empty() {
            self.refuse(name, "is missing");
        }
        value.trim().to_owned()
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
        // First: what is missing may be a field that is misspelt.
        for name in unknown {
            let error = json!({"field": name, "message": "is no field of this form"});
            self.errors.insert(0, error);
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
