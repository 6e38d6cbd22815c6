//! The page with the invoices.

use feed_chassis::html::{date, keys, thead};
use feed_chassis::list::{Filter, Page};
use maud::{Markup, html};

use super::{Pages, money, status};
use crate::invoice::{Invoice, Status};

/// What selects invoices, beside the text to search for.
pub(in crate::http) const FILTERS: &[Filter] = &[
    Filter::Choice(
        "status",
        "Status",
        &[Status::Issued.as_str(), Status::Credited.as_str()],
    ),
    Filter::Days,
];

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page<Invoice>) -> Markup {
        let body = html! {
            div.toolbar {
                (page.search_form(&self.frame.base, "Order number, whole invoice or credit note number (2026-000001, CN-2026-000001), or name", FILTERS))
            }
            @if page.items.is_empty() {
                (page.nothing("invoices", &html! {
                    "They appear here when orders are placed."
                }))
            } @else {
                (self.table(&page.items))
            }
            (page.footer(&self.frame.base, "invoice", "invoices"))
            (keys(&[("Alt+S", "search")]))
        };
        self.frame.localized("Invoices", &body, &[])
    }

    fn table(&self, invoices: &[Invoice]) -> Markup {
        html! {
            div.scroll {
                table aria-label="Invoices" {
                    (thead([
                        ("Invoice", ""), ("Date", "wide"), ("Order", "wide"),
                        ("Customer", ""), ("Total", "number"), ("Status", ""),
                    ]))
                    tbody {
                        @for invoice in invoices {
                            tr {
                                th scope="row" {
                                    a href=(self.invoice_path(invoice.order)) { (invoice.number) }
                                }
                                td.wide { (date(invoice.issued)) }
                                td.wide { (self.order(invoice.order)) }
                                td.long { (invoice.customer.full_name()) }
                                td.number { (money(invoice.total, &invoice.currency)) }
                                td { (status(invoice.status())) }
                            }
                        }
                    }
                }
            }
        }
    }
}
