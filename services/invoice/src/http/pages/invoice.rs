//! The page of an invoice, which can be printed.

use chrono::{DateTime, Utc};
use feed_chassis::html::{date, thead};
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::{Pages, money, status};
use crate::invoice::Invoice;

impl Pages {
    pub(in crate::http) fn invoice(&self, invoice: &Invoice) -> Markup {
        let body = html! {
            (self.letterhead())
            @if let Some(credited) = invoice.credited { (self.notice(invoice, credited)) }
            div.columns {
                (billed_to(invoice))
                section {
                    h2 { "Details" }
                    dl {
                        dt { "Invoice" } dd { (invoice.number) }
                        dt { "Date" } dd { (date(invoice.issued)) }
                        dt { "Order" } dd { (self.order(invoice.order)) }
                        dt { "Customer" } dd { (invoice.customer.id) }
                        dt { "Status" } dd { (status(invoice.status())) }
                    }
                }
            }
            h2 { "Lines" }
            (lines(invoice, Decimal::ONE))
            p.actions { button.plain #print hidden { "Print" } }
        };
        let title = format!("Invoice {}", invoice.number);
        self.frame.localized(&title, &body, &["print.js"])
    }

    /// The sender, which only a printed page shows: the screen has the menu.
    fn letterhead(&self) -> Markup {
        let mut parts = self.sender.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default();
        html! {
            p.letterhead { strong { (name) } @for part in parts { br; (part) } }
        }
    }

    fn notice(&self, invoice: &Invoice, credited: DateTime<Utc>) -> Markup {
        let credit_note = format!("{}/credit-note", invoice.order);
        html! {
            p.notice role="note" {
                strong { "There is nothing to pay. " }
                "The order was cancelled on " (date(credited)) ", and this invoice is credited in \
                 full: see " a href=(self.frame.base.path(&credit_note)) {
                    "credit note " (invoice.credit_note())
                } "."
            }
        }
    }

    /// The page of the credit note over the whole invoice.
    pub(in crate::http) fn credit_note(
        &self,
        invoice: &Invoice,
        credited: DateTime<Utc>,
    ) -> Markup {
        let body = html! {
            (self.letterhead())
            div.columns {
                (billed_to(invoice))
                section {
                    h2 { "Details" }
                    dl {
                        dt { "Credit note" } dd { (invoice.credit_note()) }
                        dt { "Date" } dd { (date(credited)) }
                        dt { "Invoice" } dd {
                            a href=(self.invoice_path(invoice.order)) { (invoice.number) }
                            " of " (date(invoice.issued))
                        }
                        dt { "Order" } dd { (self.order(invoice.order)) }
                        dt { "Customer" } dd { (invoice.customer.id) }
                    }
                }
            }
            p { "The order was cancelled. All of the invoice is credited, and there is nothing to pay." }
            h2 { "Lines" }
            (lines(invoice, Decimal::NEGATIVE_ONE))
            p.actions { button.plain #print hidden { "Print" } }
        };
        let title = format!("Credit note {}", invoice.credit_note());
        self.frame.localized(&title, &body, &["print.js"])
    }
}

fn billed_to(invoice: &Invoice) -> Markup {
    let (customer, address) = (&invoice.customer, &invoice.billing_address);
    html! {
        section {
            h2 { "Billed to" }
            @if customer.is_erased() && address.is_erased() {
                p.quiet { "erased" }
            } @else {
                address {
                    bdi { (customer.full_name()) } br;
                    bdi { (address.street) } br;
                    bdi { (address.zip) } " " bdi { (address.city) }
                }
                p { (customer.email) }
            }
        }
    }
}

/// The lines of an invoice, or with `sign` -1 those of its credit note.
fn lines(invoice: &Invoice, sign: Decimal) -> Markup {
    let money = |amount| money(amount, &invoice.currency);
    html! {
        div.scroll tabindex="0" {
            table aria-label="Lines" {
                (thead([("Item", ""), ("Count", "number"), ("Price", "number"), ("Sum", "number")]))
                tbody {
                    @for line in &invoice.lines {
                        tr {
                            td.long { (line.item.name) }
                            td.number { (line.count) }
                            td.number { (money(line.item.price)) }
                            td.number { (money(sign * line.total())) }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" colspan="3" { "Total" }
                        td.number { (money(sign * invoice.total)) }
                    }
                }
            }
        }
    }
}
