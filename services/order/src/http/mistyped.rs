//! Messages about JSON. The rules speak to people who fill in a form, which sends texts alone. A program may send a value
//! of another type than the field has. Then the message names the type, and does not ask for what was sent.

use serde_json::Value;

use crate::rules::FieldError;

/// Replaces the messages about fields that `json` has, but with another type, and those that ask to choose.
pub(super) fn for_programs(json: &Value, mut errors: Vec<FieldError>) -> Vec<FieldError> {
    for error in &mut errors {
        if let Some(message) = message(json, &error.field) {
            error.message = message;
        }
    }
    errors
}

/// What is wrong with the type of a field, such as `orderLine[2].count`; `None` if nothing is, or if it is missing.
fn message(json: &Value, field: &str) -> Option<String> {
    let (mut at, mut parent) = (json, String::new());
    for step in field.replace('[', ".[").split('.') {
        let index = step
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        at = match index {
            Some(index) => at.get(index.parse::<usize>().ok()?)?,
            None if at.is_object() => at.get(step).unwrap_or(&Value::Null),
            None if at.is_null() => return None,
            None => return Some(format!("`{parent}` must be an object.")),
        };
        let divider = if index.is_some() || parent.is_empty() {
            ""
        } else {
            "."
        };
        parent = format!("{parent}{divider}{step}");
    }
    let name = field.rsplit('.').next().unwrap_or_default();
    let message = match (name, at) {
        ("customer", Value::Null) => "Send the number of a customer.",
        ("item", Value::Null) => "Send the number of an item.",
        (_, Value::Null) => return None,
        ("customer" | "item" | "count", value) if value.as_i64().is_none() => {
            "Send a whole number of at most 18 digits, without quotes, point or exponent."
        }
        ("customer" | "item" | "count", _) => return None,
        ("orderLine", Value::Array(_)) => return None,
        ("orderLine", _) => "Send a list of lines.",
        ("price", Value::Number(_)) | (_, Value::String(_)) => return None,
        ("price", _) => "Send a number, or a text with a number.",
        _ => "Send a text, in quotes.",
    };
    Some(message.to_owned())
}
