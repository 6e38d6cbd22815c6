//! The page with the shipments.

use feed_chassis::html::{keys, thead, time};
use feed_chassis::list::{Filter, Page};
use maud::{Markup, html};

use super::{Pages, status};
use crate::shipment::{Shipment, Status};

/// What selects shipments, beside the text to search for.
pub(in crate::http) const FILTERS: &[Filter] = &[
    Filter::Choice(
        "status",
        "Status",
        &[
            Status::Pending.as_str(),
            Status::Dispatched.as_str(),
            Status::Stopped.as_str(),
            Status::Recalled.as_str(),
        ],
    ),
    Filter::Days,
];

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page<Shipment>) -> Markup {
        let body = html! {
            div.toolbar {
                (page.search_form(&self.frame.base, "Order number or name", FILTERS))
            }
            @if page.items.is_empty() {
                (page.nothing("shipments", &html! {
                    "They appear here when orders are placed."
                }))
            } @else {
                (self.table(&page.items))
            }
            (page.footer(&self.frame.base, "shipment", "shipments"))
            (keys(&[("Alt+S", "search")]))
        };
        self.frame.localized("Shipments", &body, &[])
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
                                td.long { (shipment.customer.full_name()) }
                                td.long { (shipment.shipping_address.city) }
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
