//! The page of one order.

use feed_core::service::html::time;
use maud::{Markup, html};
use url::Url;

use super::{Pages, money, status};
use crate::order::{Address, Order, OrderId, OrderLine, Status};

impl Pages {
    pub(in crate::http) fn order(&self, order: &Order) -> Markup {
        let links = [
            (&self.invoice_url, "Invoice"),
            (&self.shipping_url, "Shipment"),
        ];
        let mut links = links
            .into_iter()
            .filter_map(|(url, text)| Some((below(url.as_ref()?, order.id), text)))
            .peekable();
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
                dd { (order.customer.full_name()) }
                dt { "E-mail" }
                dd { (order.customer.email) }
            }
            (lines(&order.lines, &money(order.total)))
            div.columns {
                section { h2 { "Shipping address" } (address(&order.shipping_address)) }
                section { h2 { "Billing address" } (address(&order.billing_address)) }
            }
            @if links.peek().is_some() {
                h2 { "What became of it" }
                p.actions { @for (url, text) in links { a href=(url) { (text) } } }
            }
            @if order.status == Status::Placed {
                form.actions method="post" action={ (self.order_path(order.id)) "/cancel" } {
                    button.plain { "Cancel this order" }
                }
            }
        };
        self.page(&format!("Order {}", order.id), &body)
    }
}

fn lines(lines: &[OrderLine], total: &str) -> Markup {
    html! {
        h2 { "Lines" }
        div.scroll {
            table {
                thead {
                    tr {
                        th scope="col" { "Item" }
                        th scope="col" class="number" { "Count" }
                        th scope="col" class="number" { "Price" }
                        th scope="col" class="number" { "Sum" }
                    }
                }
                tbody {
                    @for line in lines {
                        tr {
                            td { (line.item.name) }
                            td.number { (line.count) }
                            td.number { (money(line.item.price)) }
                            td.number { (money(line.total())) }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" colspan="3" { "Total" }
                        td.number { (total) }
                    }
                }
            }
        }
    }
}

fn address(address: &Address) -> Markup {
    html! { address { (address.street) br; (address.zip) " " (address.city) } }
}

/// `{url}/{id}`, with or without a slash at the end of `url`.
fn below(url: &Url, id: OrderId) -> Url {
    let mut url = url.clone();
    // Refused by URLs such as `mailto:`, which then stay as they are.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(&id.to_string());
    }
    url
}
