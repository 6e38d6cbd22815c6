//! Rows as the database gives them, and back: both databases use the same names.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::KeyClaim;
use crate::order::{
    Address, Customer, CustomerId, Item, ItemId, Order, OrderId, OrderLine, Status, Summary,
};
use crate::rules::Catalog;

/// The columns of a row of `orders` that make an [`OrderRow`].
macro_rules! order_columns {
    () => {
        "id, status, placed, updated,
         customer_id, customer_name, customer_firstname, customer_email,
         shipping_street, shipping_zip, shipping_city,
         billing_street, billing_zip, billing_city, number_of_lines, total_cents"
    };
}
pub(super) use order_columns;

/// True for an order that somebody looks for with the text `$1`; `$contains` is the database's own
/// word for where one text stands in another.
macro_rules! order_matches {
    ($contains:literal) => {
        concat!(
            "(CAST(id AS TEXT) = $1 OR ",
            $contains,
            "(lower(customer_firstname || ' ' || customer_name || ' ' || customer_email), lower($1)) > 0)"
        )
    };
}
pub(super) use order_matches;

/// An order without its lines.
#[derive(Debug)]
pub(super) struct OrderRow {
    summary: Summary,
    shipping_address: Address,
    billing_address: Address,
}

impl<'r, R: Row> FromRow<'r, R> for OrderRow
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    DateTime<Utc>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let address = |first: usize| {
            Ok::<_, sqlx::Error>(Address {
                street: row.try_get(first)?,
                zip: row.try_get(first + 1)?,
                city: row.try_get(first + 2)?,
            })
        };
        Ok(Self {
            summary: Summary {
                id: OrderId(row.try_get(0)?),
                status: status(&row.try_get::<String, _>(1)?)?,
                placed: row.try_get(2)?,
                updated: row.try_get(3)?,
                customer: Customer {
                    id: CustomerId(row.try_get(4)?),
                    name: row.try_get(5)?,
                    firstname: row.try_get(6)?,
                    email: row.try_get(7)?,
                },
                number_of_lines: row.try_get(14)?,
                total: from_cents(row.try_get(15)?),
            },
            shipping_address: address(8)?,
            billing_address: address(11)?,
        })
    }
}

impl OrderRow {
    pub(super) fn id(&self) -> OrderId {
        self.summary.id
    }

    pub(super) fn with_lines(self, lines: Vec<LineRow>) -> Order {
        let Summary {
            id,
            status,
            placed,
            updated,
            customer,
            total,
            number_of_lines: _,
        } = self.summary;
        Order {
            id,
            status,
            placed,
            updated,
            customer,
            shipping_address: self.shipping_address,
            billing_address: self.billing_address,
            lines: lines.into_iter().map(line).collect(),
            total,
        }
    }
}

impl From<OrderRow> for Summary {
    fn from(row: OrderRow) -> Self {
        row.summary
    }
}

/// Count; id, name and price of the item.
pub(super) type LineRow = (i64, i64, String, i64);

fn line((count, id, name, price): LineRow) -> OrderLine {
    let item = item((id, name, price));
    OrderLine { count, item }
}

/// Id, name, first name, e-mail.
pub(super) type CustomerRow = (i64, String, String, String);

pub(super) fn customer((id, name, firstname, email): CustomerRow) -> Customer {
    Customer {
        id: CustomerId(id),
        name,
        firstname,
        email,
    }
}

/// Id, name, price.
pub(super) type ItemRow = (i64, String, i64);

pub(super) fn item((id, name, price): ItemRow) -> Item {
    Item {
        id: ItemId(id),
        name,
        price: from_cents(price),
    }
}

pub(super) fn catalog(customers: Vec<CustomerRow>, items: Vec<ItemRow>) -> Catalog {
    let customers = customers.into_iter().map(customer);
    let items = items.into_iter().map(item);
    Catalog {
        customers: customers.map(|customer| (customer.id, customer)).collect(),
        items: items.map(|item| (item.id, item)).collect(),
    }
}

/// The row of a key: what it was claimed for, and the order if that was before.
pub(super) fn key_claim((fingerprint, order): (i64, Option<i64>)) -> KeyClaim {
    match order {
        None => KeyClaim::Ours,
        Some(order) => KeyClaim::Used {
            fingerprint,
            order: OrderId(order),
        },
    }
}

fn status(text: &str) -> sqlx::Result<Status> {
    [Status::Placed, Status::Cancelled]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| sqlx::Error::Decode(format!("no order has the status {text}").into()))
}

fn from_cents(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}

/// # Errors
///
/// The amount is no whole number of cents, or more than a column holds; the rules and the bounds
/// of a price let neither happen.
pub(super) fn to_cents(amount: Decimal) -> sqlx::Result<i64> {
    let cents = amount * Decimal::ONE_HUNDRED;
    cents
        .is_integer()
        .then(|| cents.to_i64())
        .flatten()
        .ok_or_else(|| sqlx::Error::Encode(format!("{amount} is no amount of money").into()))
}
