//! The pages in HTML.

mod invoice;
mod list;

pub(super) use list::FILTERS;

use feed_chassis::html::{self, Frame, below};
use feed_core::http::BaseUrl;
use maud::{Markup, html};
use rust_decimal::Decimal;
use url::Url;

use crate::config::Links;
use crate::invoice::Status;
use crate::order::OrderId;

/// What all pages share: the frame, the address of the orders, and the sender.
#[derive(Debug)]
pub(crate) struct Pages {
    frame: Frame<'static>,
    order_url: Option<Url>,
    /// Who sends the invoices.
    sender: String,
}

impl Pages {
    pub(crate) fn new(frame: Frame<'static>, settings: &Links) -> Self {
        Self {
            frame,
            order_url: settings.order_url.clone(),
            sender: settings.sender.clone(),
        }
    }

    /// The public base URL.
    pub(super) fn base(&self) -> &BaseUrl {
        &self.frame.base
    }

    /// An order's number, with a link if the address of the orders is known.
    fn order(&self, id: OrderId) -> Markup {
        html! {
            @match &self.order_url {
                Some(url) => a href=(self.frame.base.href(&below(url, id))) { (id) },
                None => (id),
            }
        }
    }

    /// The path of an invoice's page.
    fn invoice_path(&self, id: OrderId) -> String {
        self.frame.base.path(&id.to_string())
    }
}

fn status(status: Status) -> Markup {
    let (class, text) = match status {
        Status::Issued => ("status good", "Issued"),
        Status::Credited => ("status bad", "Credited"),
    };
    html! { span class=(class) { (text) } }
}

fn money(amount: Decimal, currency: &str) -> Markup {
    html::money(&format!("{amount:.2}"), currency)
}
