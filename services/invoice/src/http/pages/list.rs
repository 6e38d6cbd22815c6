//! The page with the invoices.

use maud::{Markup, html};

use super::{Pages, date, money, status};
use crate::http::invoices::{Page, next_page};
use crate::invoice::Invoice;

impl Pages {
    pub(in crate::http) fn list(&self, page: &Page) -> Markup {
        let body = html! {
            @if page.invoices.is_empty() {
                p.quiet {
                    @if page.continued { "There are no older invoices." }
                    @else { "There are no invoices yet. They appear here when orders are placed." }
                }
            } @else {
                (self.table(&page.invoices))
            }
            p.quiet {
                @if page.count == 1 { "1 invoice" } @else { (page.count) " invoices" } " in all"
            }
            @if page.continued || page.next.is_some() {
                nav aria-label="Pages" {
                    @if page.continued { a href=(self.base.path("")) { "Newest invoices" } }
                    @if let Some(id) = page.next {
                        a rel="next" href=(self.base.path(&next_page(id))) { "Older invoices" }
                    }
                }
            }
        };
        self.page("Invoices", &body)
    }

    fn table(&self, invoices: &[Invoice]) -> Markup {
        html! {
            div.scroll {
                table aria-label="Invoices" {
                    thead {
                        tr {
                            th scope="col" { "Invoice" }
                            th scope="col" { "Date" }
                            th scope="col" { "Order" }
                            th scope="col" { "Customer" }
                            th scope="col" class="number" { "Total" }
                            th scope="col" { "Status" }
                        }
                    }
                    tbody {
                        @for invoice in invoices {
                            tr {
                                th scope="row" {
                                    a href=(self.invoice_path(invoice.order)) { (invoice.number) }
                                }
                                td { (date(invoice.issued)) }
                                td { (invoice.order) }
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
