//! The page with the order form.

use feed_chassis::html::keys;
use feed_chassis::text::is_control;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::Pages;
use super::fields::{Input, Messages, id, summary};
use crate::http::form::{AddressFields, Fields, LineFields, choice, number};
use crate::order::{CURRENCY, Customer, Item, ItemId, OrderId};
use crate::rules::{Catalog, FieldError, MAX_COUNT, MAX_TEXT, MAX_ZIP};
use crate::store::MAX_CHOICES;

/// The characters of a count, with room for counts that are too large, so that they get a message.
const MAX_DIGITS: usize = 20;

impl Pages {
    /// The form with the values of `fields`, and each message at its field.
    pub(in crate::http) fn form(
        &self,
        fields: &Fields,
        errors: &[FieldError],
        catalog: &Catalog,
    ) -> Markup {
        self.order_form(
            fields,
            catalog,
            errors,
            &html! {
                (summary(errors, "The order is not placed yet. Please look at:", section))
            },
        )
    }

    /// The form, after it has placed an order and was sent again with other values.
    pub(in crate::http) fn form_used(
        &self,
        fields: &Fields,
        placed: OrderId,
        catalog: &Catalog,
    ) -> Markup {
        self.order_form(fields, catalog, &[], &html! {
            div.notice role="alert" tabindex="-1" autofocus {
                p {
                    "This form has placed " a href=(self.order_path(placed)) { "order " (placed) }
                    " before. If you want one more order, as it stands here, press "
                    strong { "Place order" } " again."
                }
            }
        })
    }

    fn order_form(
        &self,
        fields: &Fields,
        catalog: &Catalog,
        errors: &[FieldError],
        notice: &Markup,
    ) -> Markup {
        let form = Form::new(errors, catalog);
        let body = html! {
            (notice)
            // The server checks the rules and reports all errors at once.
            form #order method="post" action=(self.frame.base.path("")) novalidate {
                // Enter presses the first button, which must not be one that removes a line.
                button.enter tabindex="-1" aria-hidden="true" {}
                // The key: the same form sent twice places one order.
                input type="hidden" name="key" value=(fields.key);
                (form.customer(&fields.customer))
                div.columns {
                    (form.address("Shipping address", "shipping", &fields.shipping))
                    (form.address("Billing address", "billing", &fields.billing))
                }
                (form.lines(&fields.lines, &self.line_path()))
                div.actions { button { "Place order" } }
                (keys(&[("Enter", "places the order"), ("Alt+L", "adds a line")]))
            }
        };
        self.frame.page_with_script("New order", &body, "form.js")
    }

    /// The address at which lines are added and removed. The page then shows the lines, not its top.
    fn line_path(&self) -> String {
        format!("{}#orderLine", self.frame.base.path("line"))
    }
}

/// The label of a field, for people.
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

/// What the fields of the form share.
struct Form<'a> {
    messages: Messages<'a>,
    customers: Vec<Choice>,
    items: Vec<Choice>,
    catalog: &'a Catalog,
}

/// A choice in a list. The browser sends its number and what it shows, so that a change of it in the meantime is noticed.
struct Choice {
    id: i64,
    value: String,
    text: String,
    /// The price in cents, for the script that computes the total.
    cents: Option<String>,
}

impl<'a> Form<'a> {
    fn new(errors: &'a [FieldError], catalog: &'a Catalog) -> Self {
        let customer = |customer: &Customer| Choice {
            id: customer.id.0,
            value: format!("{} {}", customer.id, customer.full_name()),
            text: customer.full_name(),
            cents: None,
        };
        let item = |item: &Item| Choice {
            id: item.id.0,
            value: format!("{} {}", item.id, item.label()),
            // The mark keeps a name from right to left away from the price. Nothing may be in front of the name, by
            // whose first letters people choose.
            text: format!(
                "{}\u{200e}, {} {CURRENCY}",
                item.name.replace(is_control, "\u{fffd}"),
                item.price
            ),
            cents: Some((item.price * Decimal::ONE_HUNDRED).normalize().to_string()),
        };
        Self {
            messages: Messages::new(errors),
            customers: catalog.customers.values().map(customer).collect(),
            items: catalog.items.values().map(item).collect(),
            catalog,
        }
    }

    fn customer(&self, value: &str) -> Markup {
        html! {
            div.customer {
                (suggestions("customers", &self.customers))
                (self.choose("customer", "Customer", value, "customers", &self.customers))
            }
        }
    }

    fn address(&self, legend: &str, kind: &str, fields: &AddressFields) -> Markup {
        let input = |field: &str, label: &str, value: &str, max: usize, token: &str| {
            let (name, token) = (format!("{kind}Address.{field}"), format!("{kind} {token}"));
            self.messages.input(Input {
                name: &name,
                label,
                value,
                max,
                autocomplete: Some(&token),
                inputmode: None,
            })
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
            fieldset id="orderLine" tabindex="-1"
                aria-describedby=[self.messages.described("orderLine")] {
                legend { "Lines" }
                (self.messages.message("orderLine"))
                (suggestions("items", &self.items))
                @for (index, line) in lines.iter().enumerate() {
                    @let name = format!("orderLine[{index}]");
                    div.line role="group" aria-label={ "Line " (index + 1) } {
                        div {
                            (self.choose(&format!("{name}.item"), "Item", &line.item, "items", &self.items))
                        }
                        div { (self.count(&format!("{name}.count"), &line.count)) }
                        button.plain name="remove" value=(index) formaction=(line_path)
                            aria-label={ "Remove line " (index + 1) } { "Remove" }
                    }
                }
                div.inline {
                    button.plain #add formaction=(line_path) accesskey="l" { "Add line" }
                    button.plain #update name="update" value="total" formaction=(line_path) {
                        "Update total"
                    }
                    p.total {
                        label for="total" { "Total" }
                        output #total data-currency=(CURRENCY) { (self.total(lines)) " " (CURRENCY) }
                    }
                }
            }
        }
    }

    /// The total of the lines that are valid so far.
    fn total(&self, lines: &[LineFields]) -> Decimal {
        let sum = |line: &LineFields| {
            let item = self.catalog.items.get(&ItemId(choice(&line.item).0?))?;
            let count = number(&line.count).filter(|count| (0..=MAX_COUNT).contains(count))?;
            Some(Decimal::from(count) * item.price)
        };
        let mut total: Decimal = lines.iter().filter_map(sum).sum();
        total.rescale(2);
        total
    }

    fn count(&self, name: &str, value: &str) -> Markup {
        self.messages.input(Input {
            name,
            label: "Count",
            value,
            max: MAX_DIGITS,
            // Not "off": a browser would not fill it in again after going back.
            autocomplete: None,
            inputmode: Some("numeric"),
        })
    }

    fn choose(
        &self,
        name: &str,
        label: &str,
        value: &str,
        all: &str,
        choices: &[Choice],
    ) -> Markup {
        match are_suggested(choices) {
            true => self.suggested(name, label, value, all, choices),
            false => self.select(name, label, value, choices),
        }
    }

    /// A field for a number, which the browser completes from what is typed of a [suggestion](suggestions).
    fn suggested(
        &self,
        name: &str,
        label: &str,
        value: &str,
        suggestions: &str,
        choices: &[Choice],
    ) -> Markup {
        let id = id(name);
        let (chosen, _) = choice(value);
        let known = choices.iter().find(|choice| Some(choice.id) == chosen);
        html! {
            label for=(id) { (label) ", by name or number" }
            input id=(id) name=(name) required list=(suggestions)
                value=(known.map_or(value, |known| &known.value))
                aria-invalid=[self.messages.invalid(name)]
                aria-describedby=[self.messages.described(name)];
            (self.messages.message(name))
        }
    }

    fn select(&self, name: &str, label: &str, value: &str, choices: &[Choice]) -> Markup {
        let id = id(name);
        let (chosen, shown) = choice(value);
        let known = value.is_empty() || choices.iter().any(|choice| Some(choice.id) == chosen);
        html! {
            label for=(id) { (label) }
            select id=(id) name=(name) required aria-invalid=[self.messages.invalid(name)]
                aria-describedby=[self.messages.described(name)] {
                option value="" { "Choose …" }
                // Kept as it was sent, like the value of any other field.
                @if !known {
                    option value=(value) selected { (shown.as_deref().unwrap_or(value)) }
                }
                @for choice in choices {
                    option value=(choice.value) selected[Some(choice.id) == chosen]
                        data-cents=[choice.cents.as_deref()] { (choice.text) }
                }
            }
            (self.messages.message(name))
        }
    }
}

/// Returns true if there may be more choices than a list has. Then any other one is chosen by its number.
fn are_suggested(choices: &[Choice]) -> bool {
    choices.len() >= MAX_CHOICES
}

/// The first choices, for all fields that name this list.
fn suggestions(id: &str, choices: &[Choice]) -> Markup {
    html! {
        @if are_suggested(choices) {
            datalist id=(id) {
                @for choice in choices { option value=(choice.value) { (choice.text) } }
            }
            p { "The first " (MAX_CHOICES) " " (id) " are suggested. Type the number of any other." }
        }
    }
}
