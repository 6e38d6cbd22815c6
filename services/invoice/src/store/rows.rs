//! Rows as the database gives them, and back: both databases use the same names.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::invoice::{Invoice, InvoiceNumber};
use crate::money::{DECIMALS, cents};
use crate::order::{Address, Customer, Item, Line, OrderId};

/// The columns of an [`InvoiceRow`].
macro_rules! invoice_columns {
    () => {
        "order_id, year, serial, issued_at, credited_at,
         customer_id, customer_name, customer_firstname, customer_email,
         billing_street, billing_zip, billing_city, currency, total_cents, cause"
    };
}
pub(super) use invoice_columns;

/// An invoice without its lines.
pub(super) type InvoiceRow = (
    i64,
    i32,
    i64,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
    i64,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<String>,
);

/// The columns of a [`LineRow`].
macro_rules! line_columns {
    () => {
        "order_id, count, item_id, item_name, price_cents"
    };
}
pub(super) use line_columns;

/// A line of an invoice, by its order.
pub(super) type LineRow = (i64, i64, i64, String, i64);

/// Invoices with their lines, which come in the order of lines.
pub(super) fn invoices(rows: Vec<InvoiceRow>, lines: Vec<LineRow>) -> Vec<Invoice> {
    let mut lines_of: HashMap<i64, Vec<Line>> = HashMap::new();
    for (order, count, id, name, price) in lines {
        let price = Decimal::new(price, DECIMALS);
        let item = Item { id, name, price };
        let line = Line { count, item };
        lines_of.entry(order).or_default().push(line);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines_of.remove(&row.0).unwrap_or_default();
            invoice(row, lines)
        })
        .collect()
}

fn invoice(row: InvoiceRow, lines: Vec<Line>) -> Invoice {
    let (order, year, serial, issued, credited, customer, name, firstname, email, ..) = row;
    let (.., street, zip, city, currency, total, cause) = row;
    Invoice {
        order: OrderId(order),
        number: InvoiceNumber { year, serial },
        issued,
        credited,
        customer: Customer {
            id: customer,
            name,
            firstname,
            email,
        },
        billing_address: Address { street, zip, city },
        lines,
        total: Decimal::new(total, DECIMALS),
        currency,
        cause,
    }
}

/// The order of a row, to look for its lines.
pub(super) fn orders_of(rows: &[InvoiceRow]) -> Vec<i64> {
    rows.iter().map(|row| row.0).collect()
}

/// The lines of all invoices: order, number of the line, line.
pub(super) fn lines_of(invoices: &[Invoice]) -> Vec<(i64, i64, &Line)> {
    let mut all = Vec::new();
    for invoice in invoices {
        all.extend(
            (1..)
                .zip(&invoice.lines)
                .map(|(n, line)| (invoice.order.0, n, line)),
        );
    }
    all
}

/// # Errors
///
/// The amount is no whole number of cents, or more than a column holds; an order that was read has
/// no such amounts.
pub(super) fn to_cents(amount: Decimal) -> sqlx::Result<i64> {
    cents(amount)
        .ok_or_else(|| sqlx::Error::Encode(format!("{amount} is no amount of money").into()))
}
