//! The pages, for people.

mod form;
mod list;
mod order;

use feed_core::service::BaseUrl;
use feed_core::service::html::Frame;
use maud::{Markup, html};
use rust_decimal::Decimal;
use url::Url;

use crate::order::{CURRENCY, OrderId, Status};

/// What all pages have in common: where the service is, and where to go on from an order.
#[derive(Debug)]
pub(crate) struct Pages {
    base: BaseUrl,
    invoice_url: Option<Url>,
    shipping_url: Option<Url>,
}

impl Pages {
    pub(crate) fn new(base: BaseUrl, invoice_url: Option<Url>, shipping_url: Option<Url>) -> Self {
        Self {
            base,
            invoice_url,
            shipping_url,
        }
    }

    /// The public base URL.
    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn page(&self, title: &str, body: &Markup) -> Markup {
        let frame = Frame {
            base: &self.base,
            service: "Orders",
            menu: &[("", "Orders"), ("form.html", "New order"), ("feed", "Feed")],
            feed: Some("feed"),
        };
        frame.page(title, body)
    }

    /// The path of an order's page.
    fn order_path(&self, id: OrderId) -> String {
        self.base.path(&id.path())
    }
}

fn status(status: Status) -> Markup {
    let (class, text) = match status {
        Status::Placed => ("status good", "Placed"),
        Status::Cancelled => ("status bad", "Cancelled"),
    };
    html! { span class=(class) { (text) } }
}

fn money(amount: Decimal) -> String {
    format!("{amount} {CURRENCY}")
}
