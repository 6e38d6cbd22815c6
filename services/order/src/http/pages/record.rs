//! The form for a customer or an item.

use feed_chassis::text::isolate;
use maud::{Markup, html};

use super::Pages;
use super::fields::{Input, Messages, summary};
use crate::rules::{FieldError, MAX_TEXT};

/// What a form for a customer or an item shows.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Shown<'a, Draft> {
    /// What was typed, or is stored.
    pub(in crate::http) draft: &'a Draft,
    /// Identifies the state of the record that the form changes; empty for a new one.
    pub(in crate::http) version: &'a str,
    pub(in crate::http) errors: &'a [FieldError],
    /// The record as it was changed since the form was opened: the form asks whether to replace that.
    pub(in crate::http) now: Option<&'a Draft>,
}

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
    /// As [`Shown::version`].
    pub(super) version: &'a str,
    /// The values of the fields in [`Shown::now`].
    pub(super) now: Option<&'a [Option<&'a String>]>,
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
        autocomplete: Some("off"),
        inputmode,
    }
}

impl Record<'_> {
    /// What is stored now in the fields that have other values.
    fn changes(&self) -> Option<Vec<FieldError>> {
        let fields = self.fields.iter().zip(self.now?);
        let differ = fields.filter_map(|(field, now)| {
            let now = now.filter(|now| *now != field.value)?;
            Some(FieldError {
                field: field.name.to_owned(),
                message: format!("Stored now: “{}”.", isolate(now)),
            })
        });
        Some(differ.collect())
    }
}

impl Pages {
    /// The form, with each message at its field.
    pub(super) fn record(&self, record: &Record<'_>, errors: &[FieldError]) -> Markup {
        let base = &self.frame.base;
        let changes = record.changes();
        let (errors, introduction) = match &changes {
            Some(changes) => (
                &changes[..],
                "Nothing is stored yet: this was changed after you had opened it. To replace it by what \
                 you see in the fields, press Save again.",
            ),
            None => (errors, "Nothing is stored yet. Please look at:"),
        };
        let messages = Messages::new(errors);
        let called = |name: &str| {
            let field = record.fields.iter().find(|field| field.name == name);
            field.map_or(name, |field| field.label).to_owned()
        };
        let body = html! {
            @if let Some((path, text)) = &record.related {
                p { a href=(base.path(path)) { (text) } }
            }
            (summary(errors, introduction, called))
            form.narrow method="post" action=(base.path(&record.action)) novalidate {
                @if !record.version.is_empty() {
                    // A browser that fills it in again after loading the page would send an old one.
                    input type="hidden" name="version" value=(record.version) autocomplete="off";
                }
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
