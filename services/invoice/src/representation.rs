//! An invoice as JSON, in the names that the order's JSON has.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::invoice::{Invoice, Status};
use crate::money;
use crate::order::{Address, Customer, Line, OrderId};

/// A whole invoice.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Invoice")]
pub struct InvoiceDocument<'a> {
    /// The number of the order; it is also the invoice's address
    id: OrderId,
    /// 1, 2, 3 … in each year, without gaps: `2026-000017`
    #[schemars(pattern(r"^[0-9]{4}-[0-9]{6,}$"))]
    number: String,
    customer: &'a Customer,
    #[serde(skip_serializing_if = "Address::is_erased")]
    billing_address: &'a Address,
    invoice_line: &'a [Line],
    /// The sum of the lines
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[schemars(schema_with = "money::schema")]
    total: Decimal,
    #[schemars(pattern(r"^[A-Z]{3}$"))]
    currency: &'a str,
    /// Credited: its order was cancelled
    status: Status,
}

impl<'a> InvoiceDocument<'a> {
    #[must_use]
    pub fn new(invoice: &'a Invoice) -> Self {
        Self {
            id: invoice.order,
            number: invoice.number.to_string(),
            customer: &invoice.customer,
            billing_address: &invoice.billing_address,
            invoice_line: &invoice.lines,
            total: invoice.total,
            currency: &invoice.currency,
            status: invoice.status(),
        }
    }
}
