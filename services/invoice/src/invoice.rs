//! What an invoice is. Knows neither SQL nor HTTP.

use std::fmt;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::order::{Address, Customer, Line, Order, OrderId};

/// The number of an invoice: 1, 2, 3 … in each year, without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvoiceNumber {
    pub year: i32,
    pub serial: i64,
}

impl fmt::Display for InvoiceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:06}", self.year, self.serial)
    }
}

/// What a customer has to pay for an order, as it was placed. Stays as it is for ever, but for the
/// e-mail address of a person who is erased; if the order is cancelled, a credit note over all of it
/// becomes part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    pub order: OrderId,
    pub number: InvoiceNumber,
    pub issued: DateTime<Utc>,
    /// When it was credited; `None`: it stands.
    pub credited: Option<DateTime<Utc>>,
    pub customer: Customer,
    pub billing_address: Address,
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Decimal,
    pub currency: String,
    /// The id of the event it was made from; `None`: an older version made it.
    pub cause: Option<String>,
}

/// What has become of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Status {
    Issued,
    Credited,
}

impl Status {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Credited => "credited",
        }
    }
}

impl Invoice {
    /// The invoice for an order that was placed at `placed`, as the event `cause` tells, with a
    /// number of [`Invoice::year`].
    #[must_use]
    pub fn issue(order: Order, serial: i64, placed: DateTime<Utc>, cause: &str) -> Self {
        let year = Self::year(placed);
        Self {
            order: order.id,
            number: InvoiceNumber { year, serial },
            issued: placed.trunc_subsecs(3),
            credited: None,
            total: order.total(),
            customer: order.customer,
            billing_address: order.billing_address.unwrap_or_default(),
            lines: order.lines,
            currency: order.currency,
            cause: Some(cause.to_owned()),
        }
    }

    /// The year whose numbers an order of that time gets. That of the order, not of today: so the
    /// same events make the same invoices, whenever they are read.
    #[must_use]
    pub fn year(placed: DateTime<Utc>) -> i32 {
        placed.year()
    }

    #[must_use]
    pub fn status(&self) -> Status {
        match self.credited {
            None => Status::Issued,
            Some(_) => Status::Credited,
        }
    }
}
