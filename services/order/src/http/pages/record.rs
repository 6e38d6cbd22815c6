//! The list of customers or items, and the form for one.

use feed_chassis::html::thead;
use feed_chassis::list::Page;
use feed_chassis::text::isolate;
use maud::{Markup, html};

use super::Pages;
use super::fields::{Input, Messages, summary};
use crate::http::records::Resource;
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

/// A field of a record. It does not describe the user, so a browser must not fill it in.
pub(in crate::http) fn field<'a>(
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

/// What is stored `now` in the fields that have other values.
fn changes(inputs: &[Input<'_>], now: &[Input<'_>]) -> Vec<FieldError> {
    let fields = inputs.iter().zip(now);
    let differ = fields.filter(|(input, now)| input.value != now.value);
    let changes = differ.map(|(input, now)| FieldError {
        field: input.name.to_owned(),
        message: format!("Stored now: “{}”.", isolate(now.value)),
    });
    changes.collect()
}

impl Pages {
    pub(in crate::http) fn records<R: Resource>(&self, page: &Page<R>) -> Markup {
        let base = &self.frame.base;
        let (name, list) = (R::NAME, R::LIST);
        let body = html! {
            div.toolbar {
                a.button href=(base.path(&format!("{list}/new"))) { "New " (name) }
                (page.search_form(base, R::SEARCH, &[]))
            }
            @if page.items.is_empty() {
                (page.nothing(list, &html! {
                    "Choose " strong { "New " (name) } " to add the first one."
                }))
            } @else {
                div.scroll {
                    table aria-label=(R::MANY) {
                        (thead([("Number", "number"), ("Name", ""), R::LAST]))
                        tbody {
                            @for record in &page.items { tr {
                                td.number { (record.id()) }
                                th.long scope="row" {
                                    a href=(base.path(&R::path(record.id()))) { (record.label()) }
                                }
                                (record.last())
                            } }
                        }
                    }
                }
            }
            (page.footer(base, name, list))
        };
        match R::HAS_MONEY {
            true => self.frame.localized(R::MANY, &body, &[]),
            false => self.frame.page(R::MANY, &body),
        }
    }

    /// The form for a new record, or for the one with `id`, with each message at its field.
    pub(in crate::http) fn record<R: Resource>(
        &self,
        id: Option<i64>,
        shown: Shown<'_, R::Draft>,
    ) -> Markup {
        let base = &self.frame.base;
        let (title, action, button) = match id {
            Some(id) => (format!("{} {id}", R::ONE), R::path(id), "Save".to_owned()),
            None => (
                format!("New {}", R::NAME),
                R::LIST.to_owned(),
                format!("Add {}", R::NAME),
            ),
        };
        let inputs = R::inputs(shown.draft);
        let changes = shown.now.map(|now| changes(&inputs, &R::inputs(now)));
        let (errors, introduction) = match &changes {
            Some(changes) => (
                &changes[..],
                "Nothing is stored yet: this was changed after you had opened it. To replace it by what \
                 you see in the fields, press Save again.",
            ),
            None => (shown.errors, "Nothing is stored yet. Please look at:"),
        };
        let messages = Messages::new(errors);
        let called = |name: &str| {
            let input = inputs.iter().find(|input| input.name == name);
            input.map_or(name, |input| input.label).to_owned()
        };
        let body = html! {
            @if let Some((path, text)) = id.and_then(R::related) {
                p { a href=(base.path(&path)) { (text) } }
            }
            (summary(errors, introduction, called))
            form.narrow method="post" action=(base.path(&action)) novalidate {
                @if !shown.version.is_empty() {
                    // A browser that fills it in again after loading the page would send an old one.
                    input type="hidden" name="version" value=(shown.version) autocomplete="off";
                }
                @for input in &inputs { (messages.input(*input)) }
                @if id.is_some() {
                    p.quiet { "A change holds for new orders. What was sold stays as it was." }
                }
                div.actions {
                    button { (button) }
                    a.button.plain href=(base.path(R::LIST)) { "Cancel" }
                }
            }
        };
        self.frame.page(&title, &body)
    }
}
