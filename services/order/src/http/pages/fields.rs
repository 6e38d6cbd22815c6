//! What all forms share: fields with their labels and messages.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::rules::FieldError;

/// The messages of a form, by field.
#[derive(Debug)]
pub(super) struct Messages<'a>(BTreeMap<&'a str, &'a str>);

/// A field for a line of text.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Input<'a> {
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) value: &'a str,
    /// The longest value, in characters.
    pub(super) max: usize,
    /// What a browser may fill in (HTML, "autofill detail tokens").
    pub(super) autocomplete: Option<&'a str>,
    /// The keys that a phone shows.
    pub(super) inputmode: Option<&'a str>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(errors: &'a [FieldError]) -> Self {
        let message = |error: &'a FieldError| (&*error.field, &*error.message);
        Self(errors.iter().map(message).collect())
    }

    /// A field of type `text`, also for numbers: a browser would discard a value that is no number.
    pub(super) fn input(&self, input: Input<'_>) -> Markup {
        let (name, id) = (input.name, id(input.name));
        html! {
            label for=(id) { (input.label) }
            input id=(id) name=(name) value=(input.value) required maxlength=(input.max)
                autocomplete=[input.autocomplete] inputmode=[input.inputmode]
                aria-invalid=[self.invalid(name)] aria-describedby=[self.described(name)];
            (self.message(name))
        }
    }

    pub(super) fn message(&self, name: &str) -> Markup {
        html! {
            @if let Some(message) = self.0.get(name) {
                p.error id={ (id(name)) "-error" } { (message) }
            }
        }
    }

    pub(super) fn invalid(&self, name: &str) -> Option<&'static str> {
        self.0.contains_key(name).then_some("true")
    }

    /// The id of the field's message, if there is one.
    pub(super) fn described(&self, name: &str) -> Option<String> {
        let known = self.0.contains_key(name);
        known.then(|| format!("{}-error", id(name)))
    }
}

/// The name of a field as an id that needs no escaping in a link.
pub(super) fn id(field: &str) -> String {
    field.replace(['.', '['], "-").replace(']', "")
}

/// All messages, with a link to each field, above the form. `called` returns the label of a field.
pub(super) fn summary(
    errors: &[FieldError],
    introduction: &str,
    called: impl Fn(&str) -> String,
) -> Markup {
    html! {
        @if !errors.is_empty() {
            div.notice.bad role="alert" tabindex="-1" autofocus {
                p { (introduction) }
                ul {
                    @for error in errors {
                        li {
                            a href={ "#" (id(&error.field)) } { (called(&error.field)) }
                            ": " (error.message)
                        }
                    }
                }
            }
        }
    }
}
