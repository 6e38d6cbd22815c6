//! Invoices and credit notes as JSON, in the names that the order's JSON has.

use chrono::{DateTime, SecondsFormat, Utc};
use feed_core::http::BaseUrl;
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
    /// When the order was placed, which is the date of the invoice
    #[schemars(extend("format" = "date-time"))]
    date: String,
    /// The number of the order
    order: OrderId,
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
    /// When the order was cancelled, which is the date of the credit note; missing if it was not
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    credit_date: Option<String>,
    /// The id of the event that the invoice was made from; missing if an older version made it
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(rename = "_links")]
    links: InvoiceLinks,
}

/// A credit note over a whole invoice.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CreditNote")]
pub struct CreditNoteDocument<'a> {
    /// That of its invoice after `CN-`
    #[schemars(pattern(r"^CN-[0-9]{4}-[0-9]{6,}$"))]
    number: String,
    /// When the order was cancelled
    #[schemars(extend("format" = "date-time"))]
    date: String,
    /// The number of the invoice that is credited
    #[schemars(pattern(r"^[0-9]{4}-[0-9]{6,}$"))]
    invoice: String,
    /// The number of the order
    order: OrderId,
    customer: &'a Customer,
    #[serde(skip_serializing_if = "Address::is_erased")]
    billing_address: &'a Address,
    /// The lines of the invoice, all of which are credited
    credit_line: &'a [Line],
    /// That of the invoice, negative
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[schemars(schema_with = "money::negative")]
    total: Decimal,
    #[schemars(pattern(r"^[A-Z]{3}$"))]
    currency: &'a str,
    #[serde(rename = "_links")]
    links: CreditNoteLinks,
}

/// The links of an invoice.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "InvoiceLinks")]
struct InvoiceLinks {
    #[serde(rename = "self")]
    this: Link,
    /// Missing if the invoice is not credited
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_note: Option<Link>,
}

/// The links of a credit note.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CreditNoteLinks")]
struct CreditNoteLinks {
    #[serde(rename = "self")]
    this: Link,
    invoice: Link,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Link {
    #[schemars(url)]
    href: String,
}

impl<'a> InvoiceDocument<'a> {
    pub fn new(invoice: &'a Invoice, base: &BaseUrl) -> Self {
        let credited = invoice.credited.is_some();
        Self {
            id: invoice.order,
            number: invoice.number.to_string(),
            date: instant(invoice.issued),
            order: invoice.order,
            customer: &invoice.customer,
            billing_address: &invoice.billing_address,
            invoice_line: &invoice.lines,
            total: invoice.total,
            currency: &invoice.currency,
            status: invoice.status(),
            credit_date: invoice.credited.map(instant),
            cause: invoice.cause.as_deref(),
            links: InvoiceLinks {
                this: Link::to_invoice(invoice.order, base),
                credit_note: credited.then(|| Link::to_credit_note(invoice.order, base)),
            },
        }
    }
}

impl<'a> CreditNoteDocument<'a> {
    /// The credit note to an invoice that was `credited` then.
    pub fn new(invoice: &'a Invoice, credited: DateTime<Utc>, base: &BaseUrl) -> Self {
        Self {
            number: invoice.credit_note().to_string(),
            date: instant(credited),
            invoice: invoice.number.to_string(),
            order: invoice.order,
            customer: &invoice.customer,
            billing_address: &invoice.billing_address,
            credit_line: &invoice.lines,
            total: -invoice.total,
            currency: &invoice.currency,
            links: CreditNoteLinks {
                this: Link::to_credit_note(invoice.order, base),
                invoice: Link::to_invoice(invoice.order, base),
            },
        }
    }
}

impl Link {
    fn to_invoice(order: OrderId, base: &BaseUrl) -> Self {
        Self {
            href: base.join(&order.to_string()).to_string(),
        }
    }

    fn to_credit_note(order: OrderId, base: &BaseUrl) -> Self {
        Self {
            href: base.join(&format!("{order}/credit-note")).to_string(),
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}
