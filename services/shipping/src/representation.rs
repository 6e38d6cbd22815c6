//! A shipment as JSON, in the names that the order's JSON has.

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
}

impl<'a> ShipmentDocument<'a> {
    #[must_use]
    pub fn new(shipment: &'a Shipment) -> Self {
        Self {
            id: shipment.order,
            customer: &shipment.customer,
            shipping_address: &shipment.shipping_address,
            shipment_line: &shipment.lines,
            status: shipment.status(),
        }
    }
}
