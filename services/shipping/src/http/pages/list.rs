//! The page with the shipments.

use maud::{Markup, html};

use super::{Pages, status, time};
use crate::http::shipments::{Page, next_page};
use crate::shipment::Shipment;

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page) -> Markup {
        let body = html! {
            @if page.shipments.is_empty() {
                p.quiet {
                    @if page.continued { "There are no older shipments." }
                    @else { "There are no shipments yet. They appear here when orders are placed." }
                }
            } @else {
                (self.table(&page.shipments))
            }
            p.quiet {
                @if page.count == 1 { "1 shipment" } @else { (page.count) " shipments" } " in all"
            }
            @if page.continued || page.next.is_some() {
                nav aria-label="Pages" {
                    @if page.continued { a href=(self.base.path("")) { "Newest shipments" } }
                    @if let Some(id) = page.next {
                        a rel="next" href=(self.base.path(&next_page(id))) { "Older shipments" }
                    }
                }
            }
        };
        self.page("Shipments", &body)
    }

    fn table(&self, shipments: &[Shipment]) -> Markup {
        html! {
            div.scroll {
                table aria-label="Shipments" {
                    thead {
                        tr {
                            th scope="col" { "Order" }
                            th scope="col" { "Placed" }
                            th scope="col" { "Customer" }
                            th scope="col" { "City" }
                            th scope="col" class="number" { "Lines" }
                            th scope="col" { "Status" }
                        }
                    }
                    tbody {
                        @for shipment in shipments {
                            tr {
                                th scope="row" {
                                    a href=(self.shipment_path(shipment.order)) {
                                        "Order " (shipment.order)
                                    }
                                }
                                td { (time(shipment.placed)) }
                                td { (shipment.customer.full_name()) }
                                td { (shipment.shipping_address.city) }
                                td.number { (shipment.lines.len()) }
                                td { (status(shipment.status())) }
                            }
                        }
                    }
                }
            }
        }
    }
}
