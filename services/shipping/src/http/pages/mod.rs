//! The pages in HTML.

mod list;
mod shipment;

pub(super) use list::FILTERS;

use feed_chassis::html::{Frame, below};
use feed_core::http::BaseUrl;
use maud::{Markup, html};
use url::Url;

use crate::order::OrderId;
use crate::shipment::Status;

/// What all pages share: the frame, and the address of the orders.
#[derive(Debug)]
pub(crate) struct Pages {
    frame: Frame<'static>,
    order_url: Option<Url>,
}

impl Pages {
    pub(crate) fn new(frame: Frame<'static>, order_url: Option<Url>) -> Self {
        Self { frame, order_url }
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

    /// The path of a shipment's page.
    fn shipment_path(&self, id: OrderId) -> String {
        self.frame.base.path(&id.to_string())
    }
}

fn status(status: Status) -> Markup {
    let (class, text) = match status {
        Status::Pending => ("status plain", "Pending"),
        Status::Dispatched => ("status good", "Dispatched"),
        Status::Stopped => ("status bad", "Stopped"),
        Status::Recalled => ("status bad", "Recalled"),
    };
    html! { span class=(class) { (text) } }
}
