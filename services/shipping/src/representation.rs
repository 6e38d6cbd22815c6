//! A shipment as JSON, in the names that the order's JSON has.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::order::{Address, Customer, Line, OrderId};
use crate::shipment::{Shipment, Status};

/// A whole shipment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Shipment")]
pub struct ShipmentDocument<'a> {
    /// The number of the order; it is also the shipment's address
    id: OrderId,
    customer: &'a Customer,
    #[serde(skip_serializing_if = "Address::is_erased")]
    shipping_address: &'a Address,
    shipment_line: &'a [Line],
    status: Status,
    /// When the order was placed
    #[schemars(extend("format" = "date-time"))]
    placed: String,
    /// When the goods left; missing if they are still here
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    dispatched: Option<String>,
    /// When the order was cancelled; missing if it was not
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    cancelled: Option<String>,
}

impl<'a> ShipmentDocument<'a> {
    pub fn new(shipment: &'a Shipment) -> Self {
        Self {
            id: shipment.order,
            customer: &shipment.customer,
            shipping_address: &shipment.shipping_address,
            shipment_line: &shipment.lines,
            status: shipment.status(),
            placed: instant(shipment.placed),
            dispatched: shipment.dispatched.map(instant),
            cancelled: shipment.cancelled.map(instant),
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}
