//! The form for a customer or an item.

use maud::{Markup, html};

use super::Pages;
use super::fields::{Input, Messages, summary};
use crate::rules::{FieldError, MAX_TEXT};

/// A form for a customer or an item.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) title: String,
    /// The text of the button.
    pub(super) button: &'static str,
    /// The address that it is sent to, relative to the base URL.
    pub(super) action: String,
    /// The list that it belongs to.
    pub(super) list: &'static str,
    pub(super) fields: &'a [Input<'a>],
    /// A link to what belongs to it: its address relative to the base URL, and its text.
    pub(super) related: Option<(String, &'static str)>,
    /// True if it changes a record, which orders may refer to.
    pub(super) is_change: bool,
}

/// A field of a record. It does not describe the user, so a browser must not fill it in.
pub(super) fn field<'a>(
    name: &'a str,
    label: &'a str,
    value: Option<&'a String>,
    inputmode: Option<&'a str>,
) -> Input<'a> {
    Input {
        name,
        label,
        value: value.map_or("", String::as_str),
        max: MAX_TEXT,
        autocomplete: "off",
        inputmode,
    }
}

impl Pages {
    /// The form, with each message at its field.
    pub(super) fn record(&self, record: &Record<'_>, errors: &[FieldError]) -> Markup {
        let base = &self.frame.base;
        let messages = Messages::new(errors);
        let called = |name: &str| {
            let field = record.fields.iter().find(|field| field.name == name);
            field.map_or(name, |field| field.label).to_owned()
        };
        let body = html! {
            @if let Some((path, text)) = &record.related {
                p { a href=(base.path(path)) { (text) } }
            }
            (summary(errors, "Nothing is stored yet. Please look at:", called))
            form.narrow method="post" action=(base.path(&record.action)) novalidate {
                @for input in record.fields { (messages.input(*input)) }
                @if record.is_change {
                    p.quiet { "A change holds for new orders. What was sold stays as it was." }
                }
                div.actions {
                    button { (record.button) }
                    a.button.plain href=(base.path(record.list)) { "Cancel" }
                }
            }
        };
        self.frame.page(&record.title, &body)
    }
}
