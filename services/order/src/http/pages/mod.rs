//! The pages in HTML.

mod fields;
mod form;
mod list;
mod order;
mod record;

pub(super) use fields::Input;
pub(super) use list::FILTERS;
pub(super) use record::{Shown, field};

use feed_chassis::Settings;
use feed_chassis::html::{self, Frame};
use feed_core::http::BaseUrl;
use maud::{Markup, html};
use rust_decimal::Decimal;
use url::Url;

use crate::order::{CURRENCY, OrderId, Status};

/// The menu of all pages.
const MENU: &[(&str, &str)] = &[
    ("form.html", "New order"),
    ("customers", "Customers"),
    ("items", "Items"),
    ("feed", "Feed"),
];

/// The frame of all pages of the service.
pub(crate) fn frame(settings: &Settings) -> Frame<'static> {
    Frame {
        feed: Some("feed"),
        home_name: "Shop",
        ..settings.frame("Orders", MENU)
    }
}

/// What all pages share: the frame, and the addresses of the other services.
#[derive(Debug)]
pub(crate) struct Pages {
    frame: Frame<'static>,
    invoice_url: Option<Url>,
    shipping_url: Option<Url>,
}

impl Pages {
    pub(crate) fn new(
        frame: Frame<'static>,
        invoice_url: Option<Url>,
        shipping_url: Option<Url>,
    ) -> Self {
        Self {
            frame,
            invoice_url,
            shipping_url,
        }
    }

    pub(crate) fn frame(&self) -> &Frame<'static> {
        &self.frame
    }

    /// The public base URL.
    pub(crate) fn base(&self) -> &BaseUrl {
        &self.frame.base
    }

    /// The path of an order's page.
    fn order_path(&self, id: OrderId) -> String {
        self.frame.base.path(&id.path())
    }
}

fn status(status: Status) -> Markup {
    let (class, text) = match status {
        Status::Placed => ("status good", "Placed"),
        Status::Cancelled => ("status bad", "Cancelled"),
    };
    html! { span class=(class) { (text) } }
}

pub(super) fn money(amount: Decimal) -> Markup {
    html::money(&amount.to_string(), CURRENCY)
}
