//! A shipment. It knows neither SQL nor HTTP.

use chrono::{DateTime, SubsecRound, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::order::{Address, Customer, Line, Order, OrderId};

/// The goods of an order on their way to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    pub order: OrderId,
    /// When the order was placed.
    pub placed: DateTime<Utc>,
    /// When the goods left; `None` if they are still here.
    pub dispatched: Option<DateTime<Utc>>,
    /// When the order was cancelled; `None` if it was not.
    pub cancelled: Option<DateTime<Utc>>,
    pub customer: Customer,
    pub shipping_address: Address,
    pub lines: Vec<Line>,
    /// The id of the event that it was made from; `None` if an older version made it.
    pub cause: Option<String>,
}

/// What a shipment was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The id of the event; `None` if an older version made the shipment.
    pub event: Option<String>,
    /// The number of the customer.
    pub customer: i64,
    /// When the order was placed.
    pub placed: DateTime<Utc>,
}

impl Cause {
    /// The cause of the shipment of `order`, which was placed at `placed` according to the event `event`.
    pub fn of(order: &Order, placed: DateTime<Utc>, event: &str) -> Self {
        Self {
            event: Some(event.to_owned()),
            customer: order.customer.id,
            placed: placed.trunc_subsecs(3),
        }
    }
}

/// The state of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for its dispatch.
    Pending,
    /// On its way.
    Dispatched,
    /// The order was cancelled while the goods were here, so they stay.
    Stopped,
    /// The order was cancelled after the goods had left, so an operator must recall them.
    Recalled,
}

impl Status {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Dispatched,
        Self::Stopped,
        Self::Recalled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dispatched => "dispatched",
            Self::Stopped => "stopped",
            Self::Recalled => "recalled",
        }
    }
}

impl Shipment {
    /// Makes the shipment for an order that was placed at `placed` according to the event `cause`.
    pub fn of(order: Order, placed: DateTime<Utc>, cause: &str) -> Self {
        Self {
            order: order.id,
            placed: placed.trunc_subsecs(3),
            dispatched: None,
            cancelled: None,
            customer: order.customer,
            shipping_address: order.shipping_address.unwrap_or_default(),
            lines: order.lines,
            cause: Some(cause.to_owned()),
        }
    }

    pub fn status(&self) -> Status {
        match (self.dispatched, self.cancelled) {
            (None, None) => Status::Pending,
            (Some(_), None) => Status::Dispatched,
            (None, Some(_)) => Status::Stopped,
            (Some(_), Some(_)) => Status::Recalled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the databases store them, on each of which a stored time is compared with that of the event.
    #[test]
    fn times_have_milliseconds() {
        let data = r#"{"id":7,"customer":{"customerId":1},"orderLine":[]}"#;
        let order = || Order::read(data).expect("an order");
        let exact: DateTime<Utc> = "2026-03-04T05:06:07.089999Z".parse().expect("an instant");
        let stored: DateTime<Utc> = "2026-03-04T05:06:07.089Z".parse().expect("an instant");
        assert_eq!(Cause::of(&order(), exact, "e").placed, stored);
        assert_eq!(Shipment::of(order(), exact, "e").placed, stored);
    }
}
