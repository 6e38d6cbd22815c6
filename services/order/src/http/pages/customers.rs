//! The pages with the customers.

use feed_chassis::html::thead;
use feed_chassis::list::Page;
use maud::{Markup, html};

use super::Pages;
use super::record::{Record, Shown, field};
use crate::order::{Customer, CustomerId};
use crate::rules::DraftCustomer;

impl Pages {
    pub(in crate::http) fn customers(&self, page: &Page<Customer>) -> Markup {
        let base = &self.frame.base;
        let body = html! {
            div.toolbar {
                a.button href=(base.path("customers/new")) { "New customer" }
                (page.search_form(base, "Number, name or e-mail", &[]))
            }
            @if page.items.is_empty() {
                (page.nothing("customers", &html! {
                    "Choose " strong { "New customer" } " to add the first one."
                }))
            } @else {
                div.scroll {
                    table aria-label="Customers" {
                        (thead([("Number", "number"), ("Name", ""), ("E-mail", "")]))
                        tbody {
                            @for customer in &page.items { tr {
                                td.number { (customer.id) }
                                th.long scope="row" {
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
        shown: Shown<'_, DraftCustomer>,
    ) -> Markup {
        let Shown { draft, now, .. } = shown;
        let fields = [
            field("firstname", "First name", draft.firstname.as_ref(), None),
            field("name", "Name", draft.name.as_ref(), None),
            field("email", "E-mail", draft.email.as_ref(), Some("email")),
        ];
        let now = now.map(|now| {
            [
                now.firstname.as_ref(),
                now.name.as_ref(),
                now.email.as_ref(),
            ]
        });
        let (title, action, button) = match id {
            Some(id) => (format!("Customer {id}"), id.path(), "Save"),
            None => (
                "New customer".to_owned(),
                "customers".to_owned(),
                "Add customer",
            ),
        };
        let record = Record {
            title,
            button,
            action,
            list: "customers",
            fields: &fields,
            version: shown.version,
            now: now.as_ref().map(|now| &now[..]),
            related: id.map(|id| (format!("?customer={id}"), "Orders of this customer")),
            is_change: id.is_some(),
        };
        self.record(&record, shown.errors)
    }
}
