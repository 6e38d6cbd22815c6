//! Rows as the database gives them, and back: both databases use the same names.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::order::{Address, Customer, Item, Line, OrderId};
use crate::shipment::Shipment;

/// The columns of a [`ShipmentRow`].
macro_rules! shipment_columns {
    () => {
        "order_id, placed_at, dispatched_at, cancelled_at,
         customer_id, customer_name, customer_firstname,
         shipping_street, shipping_zip, shipping_city, cause"
    };
}
pub(super) use shipment_columns;

/// A shipment without its lines.
pub(super) type ShipmentRow = (
    i64,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
    i64,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
);

/// The columns of a [`LineRow`].
macro_rules! line_columns {
    () => {
        "order_id, count, item_id, item_name"
    };
}
pub(super) use line_columns;

/// A line of a shipment, by its order.
pub(super) type LineRow = (i64, i64, i64, String);

/// Shipments with their lines, which come in the order of lines.
pub(super) fn shipments(rows: Vec<ShipmentRow>, lines: Vec<LineRow>) -> Vec<Shipment> {
    let mut lines_of: HashMap<i64, Vec<Line>> = HashMap::new();
    for (order, count, id, name) in lines {
        let item = Item { id, name };
        let line = Line { count, item };
        lines_of.entry(order).or_default().push(line);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines_of.remove(&row.0).unwrap_or_default();
            shipment(row, lines)
        })
        .collect()
}

fn shipment(row: ShipmentRow, lines: Vec<Line>) -> Shipment {
    let (order, placed, dispatched, cancelled, customer, name, firstname, ..) = row;
    let (.., street, zip, city, cause) = row;
    Shipment {
        order: OrderId(order),
        placed,
        dispatched,
        cancelled,
        customer: Customer {
            id: customer,
            name,
            firstname,
        },
        shipping_address: Address { street, zip, city },
        lines,
        cause,
    }
}

/// The order of a row, to look for its lines.
pub(super) fn orders_of(rows: &[ShipmentRow]) -> Vec<i64> {
    rows.iter().map(|row| row.0).collect()
}

/// The lines of all shipments: order, number of the line, line.
pub(super) fn lines_of(shipments: &[Shipment]) -> Vec<(i64, i64, &Line)> {
    let mut all = Vec::new();
    for shipment in shipments {
        all.extend(
            (1..)
                .zip(&shipment.lines)
                .map(|(n, line)| (shipment.order.0, n, line)),
        );
    }
    all
}
