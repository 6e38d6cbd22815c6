//! What a shipment is. Knows neither SQL nor HTTP.

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
    /// When the goods left; `None`: they are still here.
    pub dispatched: Option<DateTime<Utc>>,
    /// When the order was cancelled; `None`: it was not.
    pub cancelled: Option<DateTime<Utc>>,
    pub customer: Customer,
    pub shipping_address: Address,
    pub lines: Vec<Line>,
    /// The id of the event it was made from; `None`: an older version made it.
    pub cause: Option<String>,
}

/// What has become of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To be dispatched.
    Pending,
    /// On its way.
    Dispatched,
    /// The order was cancelled while the goods were here: they stay.
    Stopped,
    /// The order was cancelled when the goods had left: somebody has to see that they come back.
    Recalled,
}

impl Status {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dispatched => "dispatched",
            Self::Stopped => "stopped",
            Self::Recalled => "recalled",
        }
    }
}

impl Shipment {
    /// The shipment for an order that was placed at `placed`, as the event `cause` tells.
    #[must_use]
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

    #[must_use]
    pub fn status(&self) -> Status {
        match (self.dispatched, self.cancelled) {
            (None, None) => Status::Pending,
            (Some(_), None) => Status::Dispatched,
            (None, Some(_)) => Status::Stopped,
            (Some(_), Some(_)) => Status::Recalled,
        }
    }
}
