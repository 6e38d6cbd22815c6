//! An invoice. It knows neither SQL nor HTTP.

use std::fmt;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::order::{Address, Customer, Line, Order, OrderId};

/// The number of an invoice: 1, 2, 3 … in each year, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvoiceNumber {
    pub year: i32,
    pub serial: i64,
}

impl InvoiceNumber {
    /// Reads a number as it is written on an invoice; `None` if the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let (year, serial) = text.split_once('-')?;
        let number = Self {
            year: year.parse().ok()?,
            serial: serial.parse().ok()?,
        };
        (number.to_string() == text).then_some(number)
    }
}

impl fmt::Display for InvoiceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:06}", self.year, self.serial)
    }
}

/// The number of a credit note: that of its invoice after `CN-`. An invoice has one credit note at most, so the numbers of
/// credit notes are unique; and as invoices have no gaps, none can be missing unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditNoteNumber(pub InvoiceNumber);

impl CreditNoteNumber {
    const PREFIX: &'static str = "CN-";

    /// Reads a number as it is written on a credit note, in any case; `None` if the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let (prefix, number) = text.split_at_checked(Self::PREFIX.len())?;
        let is_one = prefix.eq_ignore_ascii_case(Self::PREFIX);
        is_one.then(|| InvoiceNumber::read(number))?.map(Self)
    }
}

impl fmt::Display for CreditNoteNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

/// What a customer must pay for an order, as it was placed. An invoice never changes, with two exceptions: the e-mail
/// address can be erased, and if the order is cancelled, a credit note over the whole amount is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    pub order: OrderId,
    pub number: InvoiceNumber,
    pub issued: DateTime<Utc>,
    /// When it was credited; `None` if it was not.
    pub credited: Option<DateTime<Utc>>,
    pub customer: Customer,
    pub billing_address: Address,
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Decimal,
    pub currency: String,
    /// The id of the event that it was made from; `None` if an older version made it.
    pub cause: Option<String>,
}

/// What an invoice was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The id of the event; `None` if an older version made the invoice.
    pub event: Option<String>,
    /// The number of the customer.
    pub customer: i64,
    /// When the order was placed.
    pub placed: DateTime<Utc>,
}

impl Cause {
    /// The cause of the invoice of `order`, which was placed at `placed` according to the event `event`.
    pub fn of(order: &Order, placed: DateTime<Utc>, event: &str) -> Self {
        Self {
            event: Some(event.to_owned()),
            customer: order.customer.id,
            placed: placed.trunc_subsecs(3),
        }
    }
}

/// The state of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Status {
    Issued,
    Credited,
}

impl Status {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Issued, Self::Credited];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Credited => "credited",
        }
    }
}

impl Invoice {
    /// Makes the invoice for an order that was placed at `placed` according to the event `cause`, with a number
    /// of [`Invoice::year`].
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

    /// The number that the credit note to this invoice has.
    pub fn credit_note(&self) -> CreditNoteNumber {
        CreditNoteNumber(self.number)
    }

    /// The year whose numbers an order of that time gets. It is the year of the order, not of today, so that the same
    /// events make the same invoices whenever they are read.
    pub fn year(placed: DateTime<Utc>) -> i32 {
        placed.year()
    }

    pub fn status(&self) -> Status {
        match self.credited {
            None => Status::Issued,
            Some(_) => Status::Credited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_is_written() {
        let number = InvoiceNumber {
            year: 2026,
            serial: 17,
        };
        assert_eq!(InvoiceNumber::read("2026-000017"), Some(number));
        for text in ["CN-2026-000017", "cn-2026-000017"] {
            assert_eq!(CreditNoteNumber::read(text), Some(CreditNoteNumber(number)));
        }
        for none in [
            "",
            "CN-",
            "CN2026-000017",
            "2026-000017",
            "CN-2026-17",
            "CN-CN-2026-000017",
            "Ü-2026-000017",
        ] {
            assert_eq!(CreditNoteNumber::read(none), None, "{none}");
        }
        for none in ["", "2026-17", "026-000017", "2026-000017 ", "2026"] {
            assert_eq!(InvoiceNumber::read(none), None, "{none}");
        }
    }

    /// As the databases store them, on each of which a stored time is compared with that of the event.
    #[test]
    fn times_have_milliseconds() {
        let data = r#"{"id":7,"customer":{"customerId":1},"orderLine":[]}"#;
        let order = || Order::read(data).expect("an order");
        let exact: DateTime<Utc> = "2026-03-04T05:06:07.089999Z".parse().expect("an instant");
        let stored: DateTime<Utc> = "2026-03-04T05:06:07.089Z".parse().expect("an instant");
        assert_eq!(Cause::of(&order(), exact, "e").placed, stored);
        assert_eq!(Invoice::issue(order(), 1, exact, "e").issued, stored);
    }
}
