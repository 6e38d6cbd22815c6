//! The page with the orders.

use feed_chassis::html::{keys, thead, time};
use feed_chassis::list::{Filter, Page};
use maud::{Markup, html};

use super::{Pages, money, status};
use crate::order::{Status, Summary};

/// What selects orders, beside the text to search for.
pub(in crate::http) const FILTERS: &[Filter] = &[
    Filter::Choice(
        "status",
        "Status",
        &[Status::Placed.as_str(), Status::Cancelled.as_str()],
    ),
    Filter::Number("customer", "Customer number"),
    Filter::Days,
];

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page<Summary>) -> Markup {
        let body = html! {
            div.toolbar {
                a.button href=(self.frame.base.path("form.html")) accesskey="n" { "New order" }
                (page.search_form(&self.frame.base, "Order number, name or e-mail", FILTERS))
            }
            @if page.items.is_empty() {
                (page.nothing("orders", &html! {
                    "Choose " strong { "New order" } " to place the first one."
                }))
            } @else {
                (self.table(&page.items))
            }
            (page.footer(&self.frame.base, "order", "orders"))
            (keys(&[("Alt+N", "a new order"), ("Alt+S", "search")]))
        };
        self.frame.localized("Orders", &body, &[])
    }

    fn table(&self, orders: &[Summary]) -> Markup {
        html! {
            div.scroll {
                table aria-label="Orders" {
                    (thead([
                        ("Order", ""), ("Placed", "wide"), ("Customer", ""),
                        ("Lines", "number wide"), ("Total", "number"), ("Status", ""),
                    ]))
                    tbody {
                        @for order in orders {
                            tr {
                                th.short scope="row" {
                                    a href=(self.order_path(order.id)) { "Order " (order.id) }
                                }
                                td.wide { (time(order.placed)) }
                                td.long { (order.customer.full_name()) }
                                td.number.wide { (order.number_of_lines) }
                                td.number { (money(order.total)) }
                                td { (status(order.status)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
