//! A shipment as JSON, in the names that the order's JSON has.

use serde::Serialize;
use url::Url;

use crate::order::{Address, Customer, Line, OrderId};
use crate::shipment::Shipment;

/// A whole shipment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShipmentDocument<'a> {
    /// The order's: it is the shipment's address, too.
    id: OrderId,
    customer: &'a Customer,
    shipping_address: &'a Address,
    shipment_line: &'a [Line],
    status: &'static str,
}

impl<'a> ShipmentDocument<'a> {
    #[must_use]
    pub fn new(shipment: &'a Shipment) -> Self {
        Self {
            id: shipment.order,
            customer: &shipment.customer,
            shipping_address: &shipment.shipping_address,
            shipment_line: &shipment.lines,
            status: shipment.status().as_str(),
        }
    }
}

/// A page of the list of shipments.
#[derive(Debug, Serialize)]
pub struct ListDocument<'a> {
    shipments: Vec<ShipmentDocument<'a>>,
    /// All shipments, not only those of this page.
    count: i64,
    #[serde(rename = "_links")]
    links: Links,
}

#[derive(Debug, Serialize)]
struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    href: String,
}

impl<'a> ListDocument<'a> {
    #[must_use]
    pub fn new(shipments: &'a [Shipment], count: i64, next: Option<&Url>) -> Self {
        let next = next.map(|url| Link {
            href: url.to_string(),
        });
        Self {
            shipments: shipments.iter().map(ShipmentDocument::new).collect(),
            count,
            links: Links { next },
        }
    }
}
