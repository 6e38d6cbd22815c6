//! The pages with the customers.

use feed_core::service::list::Page;
use maud::{Markup, html};

use super::fields::{Input, Messages, summary};
use super::{Pages, nothing};
use crate::order::{Customer, CustomerId};
use crate::rules::{DraftCustomer, FieldError, MAX_TEXT};

impl Pages {
    pub(in crate::http) fn customers(&self, page: &Page<Customer>) -> Markup {
        let base = &self.frame.base;
        let body = html! {
            div.toolbar {
                a.button href=(base.path("customers/new")) { "New customer" }
                (page.search_form(base, "Number, name or e-mail"))
            }
            @if page.items.is_empty() {
                p.quiet { (nothing(page, "customers")) }
            } @else {
                div.scroll {
                    table aria-label="Customers" {
                        thead { tr {
                            th scope="col" class="number" { "Number" }
                            th scope="col" { "Name" }
                            th scope="col" { "E-mail" }
                        } }
                        tbody {
                            @for customer in &page.items { tr {
                                td.number { (customer.id) }
                                th scope="row" {
                                    a href=(base.path(&customer.id.path())) { (customer.full_name()) }
                                }
                                td.long { (customer.email) }
                            } }
                        }
                    }
                }
            }
            (page.footer(base, "customer", "customers"))
        };
        self.frame.page("Customers", &body)
    }

    /// The form for a new customer, or for the one with `id`.
    pub(in crate::http) fn customer_form(
        &self,
        id: Option<CustomerId>,
        draft: &DraftCustomer,
        errors: &[FieldError],
    ) -> Markup {
        let messages = Messages::new(errors);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (firstname, name, email) = (
            text(&draft.firstname),
            text(&draft.name),
            text(&draft.email),
        );
        let field = |name, label, value, inputmode| Input {
            name,
            label,
            value,
            max: MAX_TEXT,
            // A customer's, and not the clerk's own.
            autocomplete: "off",
            inputmode,
        };
        let fields = [
            field("firstname", "First name", firstname.as_str(), None),
            field("name", "Name", name.as_str(), None),
            field("email", "E-mail", email.as_str(), Some("email")),
        ];
        let called = |field: &str| match field {
            "firstname" => "First name".to_owned(),
            "email" => "E-mail".to_owned(),
            _ => "Name".to_owned(),
        };
        let (title, action) = match id {
            Some(id) => (format!("Customer {id}"), id.path()),
            None => ("New customer".to_owned(), "customers".to_owned()),
        };
        let body = html! {
            (summary(errors, "Nothing is stored yet. Please look at:", called))
            form.narrow method="post" action=(self.frame.base.path(&action)) novalidate {
                @for input in fields { (messages.input(input)) }
                @if id.is_some() { p.quiet { "A change holds for new orders. What was sold stays as it was." } }
                div.actions {
                    button { @if id.is_some() { "Save" } @else { "Add customer" } }
                    a.button.plain href=(self.frame.base.path("customers")) { "Cancel" }
                }
            }
        };
        self.frame.page(&title, &body)
    }
}
