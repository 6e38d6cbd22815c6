//! What the shop accepts. All rules are here, for forms and for JSON alike: either way a draft comes
//! in, and what is stored, or a list of what is wrong, goes out.

mod customer;
mod item;
mod order;

use serde::Serialize;

pub use customer::DraftCustomer;
pub use item::DraftItem;
pub use order::{Catalog, Draft, DraftAddress, DraftLine, unknown_customer};

/// Lines of an order: what a person can still check, and a consumer reads in one go.
pub const MAX_LINES: usize = 1_000;
/// Pieces in a line.
pub const MAX_COUNT: i64 = 1_000_000;
/// Characters of a name, a street or a city.
pub const MAX_TEXT: usize = 200;
/// Characters of a ZIP code.
pub const MAX_ZIP: usize = 20;
/// The highest price of one piece, in whole EUR.
pub const MAX_PRICE: i64 = 1_000_000;

/// Something that is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, named as in the form: `orderLine[2].count`.
    pub field: String,
    /// What to do about it, for a person.
    pub message: String,
}

/// What is wrong so far.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// The value, or `None` and an error at `field`.
    fn unless<T>(&mut self, field: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.add(field, message)).ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Errors> for Vec<FieldError> {
    fn from(errors: Errors) -> Self {
        errors.0
    }
}

/// The text without the white space around it.
fn check_text(what: &str, text: Option<String>, max: usize) -> Result<String, String> {
    let text = text.unwrap_or_default();
    let trimmed = text.trim();
    if trimmed.is_empty() {
        Err(format!("Enter {what}."))
    } else if text.chars().count() > max {
        Err(format!("Use at most {max} characters."))
    } else if text.chars().any(char::is_control) {
        Err("Remove tabs, line breaks and other control characters.".to_owned())
    } else {
        Ok(trimmed.to_owned())
    }
}
