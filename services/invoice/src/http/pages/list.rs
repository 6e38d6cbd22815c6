//! The page with the invoices.

use feed_chassis::html::{date, thead};
use feed_chassis::list::Page;
use maud::{Markup, html};

use super::{Pages, money, status};
use crate::invoice::Invoice;

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page<Invoice>) -> Markup {
        let body = html! {
            @if page.items.is_empty() {
                p.quiet {
                    @if page.continued { "There are no older invoices." }
                    @else { "There are no invoices yet. They appear here when orders are placed." }
                }
            } @else {
                (self.table(&page.items))
            }
            (page.footer(&self.frame.base, "invoice", "invoices"))
        };
        self.frame.page("Invoices", &body)
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
                                td { (invoice.customer.full_name()) }
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
