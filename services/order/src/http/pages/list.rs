//! The page with the orders.

use maud::{Markup, html};

use super::{Pages, money, status, time};
use crate::http::orders::{Page, next_page};
use crate::order::Summary;

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page) -> Markup {
        let body = html! {
            p.actions { a.button href=(self.base.path("form.html")) { "New order" } }
            @if page.orders.is_empty() {
                p.quiet {
                    @if page.continued { "There are no older orders." }
                    @else { "There are no orders yet." }
                }
            } @else {
                (self.table(&page.orders))
            }
            p.quiet {
                @if page.count == 1 { "1 order" } @else { (page.count) " orders" } " in all"
            }
            @if page.continued || page.next.is_some() {
                nav aria-label="Pages" {
                    @if page.continued { a href=(self.base.path("")) { "Newest orders" } }
                    @if let Some(id) = page.next {
                        a rel="next" href=(self.base.path(&next_page(id))) { "Older orders" }
                    }
                }
            }
        };
        self.page("Orders", &body)
    }

    fn table(&self, orders: &[Summary]) -> Markup {
        html! {
            div.scroll {
                table {
                    thead {
                        tr {
                            th scope="col" { "Order" }
                            th scope="col" { "Placed" }
                            th scope="col" { "Customer" }
                            th scope="col" class="number" { "Lines" }
                            th scope="col" class="number" { "Total" }
                            th scope="col" { "Status" }
                        }
                    }
                    tbody {
                        @for order in orders {
                            tr {
                                th scope="row" {
                                    a href=(self.order_path(order.id)) { "Order " (order.id) }
                                }
                                td { (time(order.placed)) }
                                td { (order.customer.full_name()) }
                                td.number { (order.number_of_lines) }
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
