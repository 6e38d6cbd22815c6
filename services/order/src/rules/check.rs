//! What all rules share: limits, and errors by field.

use feed_chassis::text::{is_control, is_visible};
use serde::Serialize;

/// The most lines of an order: more than a clerk can check, and little enough to be read at once.
pub const MAX_LINES: usize = 1_000;
/// The most pieces in a line.
pub const MAX_COUNT: i64 = 1_000_000;
/// The most characters of a name, a street or a city.
pub const MAX_TEXT: usize = 200;
/// The most characters of a ZIP code.
pub const MAX_ZIP: usize = 20;
/// The highest price of one piece, in whole EUR.
pub const MAX_PRICE: i64 = 1_000_000;

/// An error in a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The name of the field in the form: `orderLine[2].count`.
    pub field: String,
    /// How to correct it, for people.
    pub message: String,
}

/// The errors found so far.
#[derive(Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    pub(super) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// Returns the value, or records an error at `field`.
    pub(super) fn unless<T>(&mut self, field: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.add(field, message)).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Errors> for Vec<FieldError> {
    fn from(errors: Errors) -> Self {
        errors.0
    }
}

/// Checks a text and returns it without surrounding white space.
pub(super) fn check_text(what: &str, text: Option<String>, max: usize) -> Result<String, String> {
    let text = text.unwrap_or_default();
    let trimmed = text.trim();
    if text.chars().count() > max {
        Err(format!("Use at most {max} characters."))
    } else if !is_visible(trimmed) {
        Err(format!("Enter {what}."))
    } else if text.contains(is_control) {
        Err(
            "Remove tabs, line breaks and other control characters, also invisible ones that change \
             the direction of text."
                .to_owned(),
        )
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        // A form in another encoding than UTF-8 has it in place of what it had.
        Err("Some characters could not be read. Enter the text again, in UTF-8.".to_owned())
    } else {
        Ok(trimmed.to_owned())
    }
}
