//! The page of one shipment: where it goes, what is in it, and whether it has left.

use feed_chassis::html::{thead, time};
use maud::{Markup, html};

use super::{Pages, status};
use crate::order::Line;
use crate::shipment::{Shipment, Status};

impl Pages {
    pub(in crate::http) fn shipment(&self, shipment: &Shipment) -> Markup {
        let (customer, address) = (&shipment.customer, &shipment.shipping_address);
        let body = html! {
            (notice(shipment))
            div.columns {
                section {
                    h2 { "Ship to" }
                    @if customer.is_erased() && address.is_erased() {
                        p.quiet { "erased" }
                    } @else {
                        address {
                            bdi { (customer.full_name()) } br;
                            bdi { (address.street) } br;
                            bdi { (address.zip) } " " bdi { (address.city) }
                        }
                    }
                }
                section {
                    h2 { "Details" }
                    dl {
                        dt { "Order" } dd { (self.order(shipment.order)) }
                        dt { "Customer" } dd { (customer.id) }
                        dt { "Status" } dd { (status(shipment.status())) }
                        dt { "Placed" } dd { (time(shipment.placed)) }
                        @if let Some(dispatched) = shipment.dispatched {
                            dt { "Dispatched" } dd { (time(dispatched)) }
                        }
                        @if let Some(cancelled) = shipment.cancelled {
                            dt { "Cancelled" } dd { (time(cancelled)) }
                        }
                    }
                }
            }
            h2 { "Lines" }
            (lines(&shipment.lines))
            @if shipment.status() == Status::Pending && !address.is_erased() {
                form.actions method="post"
                    action=(self.frame.base.path(&format!("{}/dispatch", shipment.order))) {
                    button { "Mark as dispatched" }
                }
            }
        };
        let title = format!("Shipment of order {}", shipment.order);
        self.frame.localized(&title, &body, &[])
    }
}

/// The warning that the goods must not leave, or must come back.
fn notice(shipment: &Shipment) -> Markup {
    html! {
        @match shipment.status() {
            Status::Pending if shipment.shipping_address.is_erased() => p.notice.bad role="note" {
                strong { "Do not dispatch. " } "The customer was erased, and no address is left: the goods stay here."
            }
            Status::Pending | Status::Dispatched => {}
            Status::Stopped => p.notice.bad role="note" {
                strong { "Do not dispatch. " } "The order was cancelled: the goods stay here."
            }
            Status::Recalled => p.notice.bad role="note" {
                strong { "Call it back. " } "The order was cancelled after the goods had left."
            }
        }
    }
}

fn lines(lines: &[Line]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table aria-label="Lines" {
                (thead([("Item", ""), ("Item number", "number"), ("Count", "number")]))
                tbody {
                    @for line in lines {
                        tr {
                            td.long { (line.item.name) }
                            td.number { (line.item.id) }
                            td.number { (line.count) }
                        }
                    }
                }
            }
        }
    }
}
