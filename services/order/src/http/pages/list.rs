//! The page with the orders.

use feed_chassis::html::{thead, time};
use feed_chassis::list::Page;
use maud::{Markup, html};

use super::{Pages, money, nothing, status};
use crate::order::Summary;

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page<Summary>) -> Markup {
        let body = html! {
            div.toolbar {
                a.button href=(self.frame.base.path("form.html")) { "New order" }
                (page.search_form(&self.frame.base, "Order number, name or e-mail"))
            }
            @if page.items.is_empty() {
                p.quiet { (nothing(page, "orders")) }
            } @else {
                (self.table(&page.items))
            }
            (page.footer(&self.frame.base, "order", "orders"))
        };
        self.frame.page("Orders", &body)
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
                                td { (order.customer.full_name()) }
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
