//! The events of an order: what the feed publishes about it.

use std::collections::BTreeMap;

use chrono::Utc;
use feed_core::NewEvent;
use feed_core::http::BaseUrl;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::order::{CURRENCY, Order};
use crate::representation::OrderDocument;

/// The JSON Schema of the data of each event type, derived from the type that is serialized. The data is the order as it was then.
pub fn schemas() -> BTreeMap<String, Value> {
    // As it is written: an erased order has no addresses.
    let types = SchemaSettings::draft2020_12().for_serialize();
    let schema = types
        .into_generator()
        .into_root_schema_for::<OrderDocument<'_>>()
        .to_value();
    let types = ["order.placed", "order.cancelled", "order.erased"];
    types.map(|name| (name.to_owned(), schema.clone())).into()
}

impl Order {
    /// The event of an order that was placed, with the order as it is now.
    pub fn placed(&self, base: &BaseUrl) -> NewEvent {
        let (id, sold) = (self.id, self.sold());
        let title = format!("Order {id} placed: {sold}, {} {CURRENCY}", self.total);
        let summary = format!(
            "Order {id} was placed with {sold} for a total of {} {CURRENCY}.",
            self.total
        );
        self.event("order.placed", title, summary, base)
    }

    /// The event of an order that was cancelled, with the order as it is now.
    pub fn cancelled(&self, base: &BaseUrl) -> NewEvent {
        let (id, sold) = (self.id, self.sold());
        let title = format!("Order {id} cancelled: {sold}, {} {CURRENCY}", self.total);
        let summary = format!(
            "Order {id} was cancelled; it had {sold} for a total of {} {CURRENCY}.",
            self.total
        );
        self.event("order.cancelled", title, summary, base)
    }

    /// The event of an order whose customer was erased, with what is left of the order.
    pub fn erased(&self, base: &BaseUrl) -> NewEvent {
        let id = self.id;
        let title = format!("Order {id}: personal data erased");
        let summary = format!("The personal data of the customer was erased from order {id}.");
        NewEvent {
            time: Utc::now(),
            ..self.event("order.erased", title, summary, base)
        }
    }

    fn sold(&self) -> String {
        match self.lines.len() {
            1 => "1 line".to_owned(),
            n => format!("{n} lines"),
        }
    }

    /// `title` and `summary` are never erased, so they contain no personal data.
    fn event(&self, event_type: &str, title: String, summary: String, base: &BaseUrl) -> NewEvent {
        NewEvent {
            event_type: event_type.to_owned(),
            subject: self.id.path(),
            time: self.updated,
            title,
            summary,
            link: self.id.path(),
            data: OrderDocument::new(self, base).to_json(),
            traceparent: None,
        }
    }
}
