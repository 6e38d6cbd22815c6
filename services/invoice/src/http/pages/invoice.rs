//! The page of one invoice, which reads like one, on paper too.

use chrono::{DateTime, Utc};
use feed_core::service::html::date;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::{Pages, money, status};
use crate::invoice::Invoice;

impl Pages {
    pub(in crate::http) fn invoice(&self, invoice: &Invoice) -> Markup {
        let (customer, address) = (&invoice.customer, &invoice.billing_address);
        let body = html! {
            @if let Some(credited) = invoice.credited { (notice(invoice, credited)) }
            div.columns {
                section {
                    h2 { "Billed to" }
                    address {
                        (customer.full_name()) br;
                        (address.street) br;
                        (address.zip) " " (address.city)
                    }
                    p { (customer.email) }
                }
                section {
                    h2 { "Details" }
                    dl {
                        dt { "Invoice" } dd { (invoice.number) }
                        dt { "Date" } dd { (date(invoice.issued)) }
                        dt { "Order" } dd { (invoice.order) }
                        dt { "Customer" } dd { (customer.id) }
                        dt { "Status" } dd { (status(invoice.status())) }
                    }
                }
            }
            h2 { "Lines" }
            (lines(invoice))
            @if let Some(credited) = invoice.credited { (credit_note(invoice, credited)) }
        };
        self.page(&format!("Invoice {}", invoice.number), &body)
    }
}

fn notice(invoice: &Invoice, credited: DateTime<Utc>) -> Markup {
    html! {
        p.notice role="note" {
            strong { "There is nothing to pay. " }
            "Order " (invoice.order) " was cancelled on " (date(credited))
            ", and this invoice is " a href="#credit-note" { "credited in full" } "."
        }
    }
}

fn lines(invoice: &Invoice) -> Markup {
    let money = |amount| money(amount, &invoice.currency);
    html! {
        div.scroll {
            table aria-label="Lines" {
                thead {
                    tr {
                        th scope="col" { "Item" }
                        th scope="col" class="number" { "Count" }
                        th scope="col" class="number" { "Price" }
                        th scope="col" class="number" { "Sum" }
                    }
                }
                tbody {
                    @for line in &invoice.lines {
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
                        td.number { (money(invoice.total)) }
                    }
                }
            }
        }
    }
}

fn credit_note(invoice: &Invoice, credited: DateTime<Utc>) -> Markup {
    let money = |amount| money(amount, &invoice.currency);
    html! {
        section #credit-note {
            h2 { "Credit note" }
            p { "Of " (date(credited)) ", over all of invoice " (invoice.number) "." }
            div.scroll {
                table aria-label="Credit note" {
                    tbody {
                        tr {
                            th scope="row" { "Invoiced" }
                            td.number { (money(invoice.total)) }
                        }
                        tr {
                            th scope="row" { "Credited" }
                            td.number { (money(Decimal::ZERO - invoice.total)) }
                        }
                    }
                    tfoot {
                        tr {
                            th scope="row" { "To pay" }
                            td.number { (money(Decimal::new(0, 2))) }
                        }
                    }
                }
            }
        }
    }
}
