//! The page of one order.

use feed_chassis::html::{below, instant, thead, time};
use feed_core::feed::Happened;
use maud::{Markup, html};
use rust_decimal::Decimal;
use url::Url;

use super::{Pages, money, status};
use crate::order::{Address, Customer, Order, OrderId, OrderLine, Status};
use crate::rules::Record;

impl Pages {
    /// The page of an order, with its events, newest first.
    pub(in crate::http) fn order(&self, order: &Order, history: &[Happened]) -> Markup {
        let body = html! {
            dl {
                dt { "Status" }
                dd { (status(order.status)) }
                dt { "Placed" }
                dd { (time(order.placed)) }
                @if order.status == Status::Cancelled {
                    dt { "Cancelled" }
                    dd { (time(order.updated)) }
                }
                dt { "Customer" }
                dd { (self.customer(&order.customer)) }
                @if !order.customer.is_erased() {
                    dt { "E-mail" }
                    dd { (order.customer.email) }
                }
            }
            @if self.invoice_url.is_some() || self.shipping_url.is_some() {
                div.columns {
                    (self.elsewhere(self.invoice_url.as_ref(), order.id, &INVOICE))
                    (self.elsewhere(self.shipping_url.as_ref(), order.id, &SHIPMENT))
                }
            }
            (lines(&order.lines, order.total))
            div.columns {
                section { h2 { "Shipping address" } (address(&order.shipping_address)) }
                section { h2 { "Billing address" } (address(&order.billing_address)) }
            }
            h2 { "History" }
            (self::history(history))
            @if order.status == Status::Placed {
                p.actions {
                    a.button.plain.danger href={ (self.order_path(order.id)) "/cancel" } {
                        "Cancel this order"
                    }
                }
            }
        };
        let title = format!("Order {}", order.id);
        self.frame.localized(&title, &body, &["order.js"])
    }

    /// The customer's name, with a link to their page unless they were erased.
    fn customer(&self, customer: &Customer) -> Markup {
        let name = customer.full_name();
        html! {
            @if customer.is_erased() { (name) } @else {
                a href=(self.frame.base.path(&Customer::path(customer.id.0))) { (name) }
            }
        }
    }

    /// The question whether an order must be cancelled, which cannot be undone.
    pub(in crate::http) fn cancel(&self, order: &Order) -> Markup {
        let page = self.order_path(order.id);
        let is_placed = order.status == Status::Placed;
        let body = html! {
            @if is_placed {
                p {
                    "Order " (order.id) " of " bdi { (order.customer.full_name()) } " over "
                    (money(order.total)) " will be cancelled. Its invoice is credited, and goods \
                     that have not left stay here. This cannot be undone."
                }
            } @else {
                p { "Order " (order.id) " is cancelled already." }
            }
            form.actions method="post" action={ (page) "/cancel" } {
                @if is_placed { button.danger { "Cancel order " (order.id) } }
                a.button.plain href=(page) { @if is_placed { "Keep it" } @else { "Back to the order" } }
            }
        };
        let title = format!("Cancel order {}?", order.id);
        self.frame.localized(&title, &body, &["order.js"])
    }

    /// The link to another service, with the address where the script finds more.
    fn elsewhere(&self, url: Option<&Url>, order: OrderId, what: &Elsewhere) -> Markup {
        let href = |url| self.frame.base.href(&url);
        html! {
            @if let Some(url) = url {
                section.elsewhere id=(what.id) data-list=(href(list_of(url, order)))
                    data-member=(what.member) {
                    h2 { (what.heading) }
                    p aria-live="polite" {
                        a href=(href(below(url, order))) { (what.heading) " of this order" }
                        " " span.quiet { "There within moments of the order." }
                    }
                }
            }
        }
    }
}

/// What another service makes of an order. Only the browser asks that service, never this one (I9).
struct Elsewhere {
    id: &'static str,
    heading: &'static str,
    /// The name of the list in the other service's JSON.
    member: &'static str,
}

const INVOICE: Elsewhere = Elsewhere {
    id: "invoice",
    heading: "Invoice",
    member: "invoices",
};

const SHIPMENT: Elsewhere = Elsewhere {
    id: "shipment",
    heading: "Shipment",
    member: "shipments",
};

fn history(history: &[Happened]) -> Markup {
    html! {
        @if history.is_empty() {
            p.quiet { "The order is being published." }
        } @else {
            div.scroll {
                table #history aria-label="History" {
                    thead {
                        tr {
                            th scope="col" { "Time" }
                            th scope="col" { "Event" }
                            th.wide scope="col" { "What happened" }
                            th.number scope="col" { "Sequence" }
                        }
                    }
                    tbody {
                        @for event in history {
                            tr {
                                td { (instant(event.time)) }
                                td { a href=(event.url.path()) { (event.event_type) } }
                                td.wide { (event.title) }
                                td.number { (event.sequence) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn lines(lines: &[OrderLine], total: Decimal) -> Markup {
    html! {
        h2 { "Lines" }
        div.scroll tabindex="0" {
            table aria-label="Lines" {
                (thead([("Item", ""), ("Count", "number"), ("Price", "number"), ("Sum", "number")]))
                tbody {
                    @for line in lines {
                        tr {
                            td.long { (line.item.name) }
                            td.number { (line.count) }
                            td.number { (money(line.item.price)) }
                            td.number { (money(line.total())) }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" colspan="3" { "Total" }
                        td.number { (money(total)) }
                    }
                }
            }
        }
    }
}

fn address(address: &Address) -> Markup {
    html! {
        @if address.is_erased() {
            p.quiet { "erased" }
        } @else {
            address {
                bdi { (address.street) } br;
                bdi { (address.zip) } " " bdi { (address.city) }
            }
        }
    }
}

/// The address of the other service's list for this order, which has one item or none.
fn list_of(url: &Url, id: OrderId) -> Url {
    let mut url = below(url, "");
    url.query_pairs_mut().append_pair("order", &id.to_string());
    url
}
