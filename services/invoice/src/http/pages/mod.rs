//! The pages, for people.

mod invoice;
mod list;

use feed_core::service::BaseUrl;
use feed_core::service::html::Frame;
use maud::{Markup, html};
use rust_decimal::Decimal;

use crate::invoice::Status;
use crate::order::OrderId;

/// The name of the service on its pages.
pub(super) const SERVICE: &str = "Invoices";

/// Where each page leads.
pub(super) const MENU: &[(&str, &str)] = &[("", "Invoices"), ("status", "Status")];

/// What all pages have in common: where the service is.
#[derive(Debug)]
pub(super) struct Pages {
    base: BaseUrl,
}

impl Pages {
    pub(super) fn new(base: BaseUrl) -> Self {
        Self { base }
    }

    /// The public base URL.
    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn page(&self, title: &str, body: &Markup) -> Markup {
        let frame = Frame {
            base: &self.base,
            service: SERVICE,
            menu: MENU,
            feed: None,
        };
        frame.page(title, body)
    }

    /// The path of an invoice's page.
    fn invoice_path(&self, id: OrderId) -> String {
        self.base.path(&id.to_string())
    }
}

fn status(status: Status) -> Markup {
    let (class, text) = match status {
        Status::Issued => ("status good", "Issued"),
        Status::Credited => ("status bad", "Credited"),
    };
    html! { span class=(class) { (text) } }
}

fn money(amount: Decimal, currency: &str) -> String {
    // A minus sign, which a screen reader speaks and which is as wide as a digit.
    format!("{amount:.2} {currency}").replace('-', "\u{2212}")
}
