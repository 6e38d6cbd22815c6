//! The pages, for people.

mod list;
mod shipment;

use feed_core::service::BaseUrl;
use feed_core::service::html::Frame;
use maud::{Markup, html};

use crate::order::OrderId;
use crate::shipment::Status;

/// The name of the service on its pages.
pub(super) const SERVICE: &str = "Shipments";

/// Where each page leads.
pub(super) const MENU: &[(&str, &str)] = &[("", "Shipments"), ("status", "Status")];

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

    /// The path of a shipment's page.
    fn shipment_path(&self, id: OrderId) -> String {
        self.base.path(&id.to_string())
    }
}

fn status(status: Status) -> Markup {
    let (class, text) = match status {
        Status::Pending => ("status", "Pending"),
        Status::Dispatched => ("status good", "Dispatched"),
        Status::Stopped => ("status bad", "Stopped"),
        Status::Recalled => ("status bad", "Recalled"),
    };
    html! { span class=(class) { (text) } }
}
