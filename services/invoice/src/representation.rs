//! An invoice as JSON, in the names that the order's JSON has.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::invoice::Invoice;
use crate::order::{Address, Customer, Line, OrderId};

/// A whole invoice.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceDocument<'a> {
    /// The order's: it is the invoice's address, too.
    id: OrderId,
    number: String,
    customer: &'a Customer,
    #[serde(skip_serializing_if = "Address::is_erased")]
    billing_address: &'a Address,
    invoice_line: &'a [Line],
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    total: Decimal,
    currency: &'a str,
    status: &'static str,
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
            status: invoice.status().as_str(),
        }
    }
}
