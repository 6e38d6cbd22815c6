//! The page with the order form.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Pages, money};
use crate::http::form::{AddressFields, Fields, LineFields};
use crate::rules::{Catalog, FieldError, MAX_TEXT, MAX_ZIP};

impl Pages {
    /// The form with the values of `fields`, and each message at its field.
    pub(in crate::http) fn form(
        &self,
        fields: &Fields,
        errors: &[FieldError],
        catalog: &Catalog,
    ) -> Markup {
        let form = Form::new(errors, catalog);
        let body = html! {
            (summary(errors))
            // The rules are the server's: it names all that is wrong at once, and where.
            form method="post" action=(self.base.path("")) novalidate {
                (form.customer(&fields.customer))
                div.columns {
                    (form.address("Shipping address", "shipping", &fields.shipping))
                    (form.address("Billing address", "billing", &fields.billing))
                }
                (form.lines(&fields.lines, &self.line_path()))
                div.actions {
                    // The first button is the one that Enter presses.
                    button { "Place order" }
                    button.plain formaction=(self.line_path()) { "Add line" }
                }
            }
        };
        self.page("New order", &body)
    }

    /// Where lines are added and removed. The reader comes back to the lines, not to the top.
    fn line_path(&self) -> String {
        format!("{}#orderLine", self.base.path("line"))
    }
}

/// What is wrong, with a link to each field, for those who do not see the form at once.
fn summary(errors: &[FieldError]) -> Markup {
    html! {
        @if !errors.is_empty() {
            div.notice.bad role="alert" {
                p { "The order is not placed yet. Please look at:" }
                ul {
                    @for error in errors {
                        li {
                            a href={ "#" (id(&error.field)) } { (section(&error.field)) }
                            ": " (error.message)
                        }
                    }
                }
            }
        }
    }
}

/// The part of the form that a field belongs to, as a person calls it.
fn section(field: &str) -> String {
    if let Some((_, rest)) = field.split_once('[')
        && let Some((index, _)) = rest.split_once(']')
        && let Ok(index) = index.parse::<usize>()
    {
        return format!("Line {}", index + 1);
    }
    let section = match field.split('.').next() {
        Some("shippingAddress") => "Shipping address",
        Some("billingAddress") => "Billing address",
        Some("customer") => "Customer",
        _ => "Lines",
    };
    section.to_owned()
}

/// The name of a field as an id that needs no escaping in a link.
fn id(field: &str) -> String {
    field.replace(['.', '['], "-").replace(']', "")
}

/// What the fields of the form share.
struct Form<'a> {
    messages: BTreeMap<&'a str, &'a str>,
    customers: Vec<(String, String)>,
    items: Vec<(String, String)>,
}

impl<'a> Form<'a> {
    fn new(errors: &'a [FieldError], catalog: &Catalog) -> Self {
        let customers = catalog.customers.values();
        let items = catalog.items.values();
        Self {
            messages: errors
                .iter()
                .map(|error| (&*error.field, &*error.message))
                .collect(),
            customers: customers
                .map(|customer| (customer.id.to_string(), customer.full_name()))
                .collect(),
            items: items
                .map(|item| {
                    let text = format!("{}, {}", item.name, money(item.price));
                    (item.id.to_string(), text)
                })
                .collect(),
        }
    }

    fn customer(&self, value: &str) -> Markup {
        html! {
            fieldset {
                legend { "Customer" }
                (self.select("customer", "Customer", value, &self.customers))
            }
        }
    }

    fn address(&self, legend: &str, kind: &str, fields: &AddressFields) -> Markup {
        let input = |field: &str, label: &str, value: &str, max: usize, token: &str| {
            let (name, token) = (format!("{kind}Address.{field}"), format!("{kind} {token}"));
            self.input(&name, label, value, max, &token)
        };
        let AddressFields { street, zip, city } = fields;
        html! {
            fieldset {
                legend { (legend) }
                (input("street", "Street and number", street, MAX_TEXT, "street-address"))
                (input("zip", "ZIP code", zip, MAX_ZIP, "postal-code"))
                (input("city", "City", city, MAX_TEXT, "address-level2"))
            }
        }
    }

    fn lines(&self, lines: &[LineFields], line_path: &str) -> Markup {
        html! {
            fieldset id="orderLine" tabindex="-1" aria-describedby=[self.described("orderLine")] {
                legend { "Lines" }
                (self.message("orderLine"))
                @for (index, line) in lines.iter().enumerate() {
                    @let name = format!("orderLine[{index}]");
                    div.line role="group" aria-label={ "Line " (index + 1) } {
                        div {
                            (self.select(&format!("{name}.item"), "Item", &line.item, &self.items))
                        }
                        div { (self.count(&format!("{name}.count"), &line.count)) }
                        button.plain name="remove" value=(index) formaction=(line_path)
                            aria-label={ "Remove line " (index + 1) } { "Remove" }
                    }
                }
            }
        }
    }

    fn select(&self, name: &str, label: &str, value: &str, options: &[(String, String)]) -> Markup {
        let id = id(name);
        let known = value.is_empty() || options.iter().any(|(option, _)| option == value);
        html! {
            label for=(id) { (label) }
            select id=(id) name=(name) required
                aria-invalid=[self.invalid(name)] aria-describedby=[self.described(name)] {
                option value="" { "Choose …" }
                // Kept as it came, like the value of any other field.
                @if !known { option value=(value) selected { (value) } }
                @for (option, text) in options {
                    option value=(option) selected[option == value] { (text) }
                }
            }
            (self.message(name))
        }
    }

    fn input(
        &self,
        name: &str,
        label: &str,
        value: &str,
        max: usize,
        autocomplete: &str,
    ) -> Markup {
        let id = id(name);
        html! {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(value) required maxlength=(max)
                autocomplete=(autocomplete)
                aria-invalid=[self.invalid(name)] aria-describedby=[self.described(name)];
            (self.message(name))
        }
    }

    /// Not of type `number`: a browser would throw away what is none, instead of keeping it.
    fn count(&self, name: &str, value: &str) -> Markup {
        let id = id(name);
        html! {
            label for=(id) { "Count" }
            input id=(id) name=(name) value=(value) required inputmode="numeric" autocomplete="off"
                aria-invalid=[self.invalid(name)] aria-describedby=[self.described(name)];
            (self.message(name))
        }
    }

    fn message(&self, name: &str) -> Markup {
        html! {
            @if let Some(message) = self.messages.get(name) {
                p.error id={ (id(name)) "-error" } { (message) }
            }
        }
    }

    fn invalid(&self, name: &str) -> Option<&'static str> {
        self.messages.contains_key(name).then_some("true")
    }

    /// The id of the field's message, if there is one.
    fn described(&self, name: &str) -> Option<String> {
        let known = self.messages.contains_key(name);
        known.then(|| format!("{}-error", id(name)))
    }
}
