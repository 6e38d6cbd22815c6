//! The page with the shipments.

use feed_chassis::html::{thead, time};
use feed_chassis::list::Page;
use maud::{Markup, html};

use super::{Pages, status};
use crate::shipment::Shipment;

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page<Shipment>) -> Markup {
        let body = html! {
            @if page.items.is_empty() {
                p.quiet {
                    @if page.continued { "There are no older shipments." }
                    @else { "There are no shipments yet. They appear here when orders are placed." }
                }
            } @else {
                (self.table(&page.items))
            }
            (page.footer(&self.frame.base, "shipment", "shipments"))
        };
        self.frame.page("Shipments", &body)
    }

    fn table(&self, shipments: &[Shipment]) -> Markup {
        html! {
            div.scroll {
                table aria-label="Shipments" {
                    (thead([
                        ("Order", ""), ("Placed", "wide"), ("Customer", ""),
                        ("City", ""), ("Lines", "number wide"), ("Status", ""),
                    ]))
                    tbody {
                        @for shipment in shipments {
                            tr {
                                th.short scope="row" {
                                    a href=(self.shipment_path(shipment.order)) {
                                        "Order " (shipment.order)
                                    }
                                }
                                td.wide { (time(shipment.placed)) }
                                td { (shipment.customer.full_name()) }
                                td { (shipment.shipping_address.city) }
                                td.number.wide { (shipment.lines.len()) }
                                td { (status(shipment.status())) }
                            }
                        }
                    }
                }
            }
        }
    }
}
