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

/// The most bytes of all lists of items in a form, of which each line has one. In a form with more, one list is shared.
const MAX_LISTS: usize = 1024 * 1024;

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
        let form = Form::new(errors, catalog, fields.lines.len());
        let body = html! {
            (notice)
            // The server checks the rules and reports all errors at once.
            form #order method="post" action=(self.frame.base.path("")) novalidate
                data-most=(MAX_COUNT) {
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
    customers: Choices,
    items: Choices,
    catalog: &'a Catalog,
}

/// What can be chosen in some fields.
struct Choices {
    /// The name of the list that the fields share, if they do; also what the choices are.
    name: &'static str,
    all: Vec<Choice>,
    /// True if the fields share one list, from which the browser completes what is typed. Each has a list of its own
    /// otherwise.
    are_suggested: bool,
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
    fn new(errors: &'a [FieldError], catalog: &'a Catalog, lines: usize) -> Self {
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
            customers: Choices::new("customers", catalog.customers.values().map(customer), 1),
            items: Choices::new("items", catalog.items.values().map(item), lines),
            catalog,
        }
    }

    fn customer(&self, value: &str) -> Markup {
        html! {
            div.customer {
                (self.customers.suggestions())
                (self.choose("customer", "Customer", value, &self.customers))
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
                (self.items.suggestions())
                @for (index, line) in lines.iter().enumerate() {
                    @let name = format!("orderLine[{index}]");
                    div.line role="group" aria-label={ "Line " (index + 1) } {
                        div {
                            (self.choose(&format!("{name}.item"), "Item", &line.item, &self.items))
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

    fn choose(&self, name: &str, label: &str, value: &str, choices: &Choices) -> Markup {
        match choices.are_suggested {
            true => self.suggested(name, label, value, choices),
            false => self.select(name, label, value, &choices.all),
        }
    }

    /// A field for a number, which the browser completes from what is typed of a [suggestion](Choices::suggestions).
    fn suggested(&self, name: &str, label: &str, value: &str, choices: &Choices) -> Markup {
        let id = id(name);
        let (chosen, _) = choice(value);
        let known = choices.all.iter().find(|choice| Some(choice.id) == chosen);
        html! {
            label for=(id) { (label) ", by name or number" }
            input id=(id) name=(name) required list=(choices.name)
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
                @for choice in choices { (choice.option(Some(choice.id) == chosen)) }
            }
            (self.messages.message(name))
        }
    }
}

impl Choices {
    /// The choices of so many `fields`.
    fn new(name: &'static str, all: impl Iterator<Item = Choice>, fields: usize) -> Self {
        let all: Vec<Choice> = all.collect();
        let list: usize = all.iter().map(|choice| choice.option(false).0.len()).sum();
        Self {
            name,
            are_suggested: !Self::are_all(&all) || list * fields > MAX_LISTS,
            all,
        }
    }

    /// Returns false if there may be more choices than a list has. Then any other one is chosen by its number.
    fn are_all(choices: &[Choice]) -> bool {
        choices.len() < MAX_CHOICES
    }

    /// The list that all fields share, if they do.
    fn suggestions(&self) -> Markup {
        html! {
            @if self.are_suggested {
                datalist id=(self.name) {
                    @for choice in &self.all { option value=(choice.value) { (choice.text) } }
                }
                p {
                    @if Self::are_all(&self.all) {
                        "All " (self.name) " are suggested. Type a part of a name, or a number."
                    } @else {
                        "The first " (MAX_CHOICES) " " (self.name) " are suggested. Type the number of any other."
                    }
                }
            }
        }
    }
}

impl Choice {
    /// The choice in the list of one field.
    fn option(&self, is_chosen: bool) -> Markup {
        html! {
            option value=(self.value) selected[is_chosen] data-cents=[self.cents.as_deref()] {
                (self.text)
            }
        }
    }
}
