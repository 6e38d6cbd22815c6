//! An order as an event describes it: our own view of what the order service writes, and only as
//! much as a shipment needs. All other fields are ignored, so that they may change: prices and the billing address
//! are never read.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use feed_console::service::data::{self, Unfit, check_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of the event of an order that was placed, with the whole order.
pub const PLACED: &str = "order.placed";
/// The type of the event of an order that was cancelled.
pub const CANCELLED: &str = "order.cancelled";
/// The type of the event of an order whose customer was erased.
pub const ERASED: &str = "order.erased";

/// The number of an order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
pub struct OrderId(pub i64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OrderId {
    /// The order that is the subject of an event: `order/17`.
    pub fn of_subject(subject: &str) -> Option<Self> {
        Some(Self(subject.strip_prefix("order/")?.parse().ok()?))
    }
}

/// An order that was placed, and that can be shipped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: OrderId,
    pub customer: Customer,
    /// Missing only if the customer is erased.
    pub shipping_address: Option<Address>,
    #[serde(rename = "orderLine")]
    pub lines: Vec<Line>,
}

/// What was sold with an order, without the customer, who may be erased later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sold {
    pub id: OrderId,
    #[serde(rename = "orderLine")]
    pub lines: Vec<Line>,
}

/// What a later event of an order needs: its number, and what tells it from an order that has the same number in another
/// history of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub id: OrderId,
    customer: Option<i64>,
    /// When it was placed. Older versions of the order service do not write it.
    placed: Option<DateTime<Utc>>,
}

/// The customer, as they were when they ordered, without the e-mail address, which shipping does not need.
/// An erased customer has a number alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Told")]
pub struct Customer {
    #[serde(rename = "customerId")]
    pub id: i64,
    /// The family name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firstname: String,
}

/// A customer in an event: with all fields, or with the number alone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Told {
    customer_id: i64,
    #[serde(default, deserialize_with = "data::unless_null")]
    name: Option<String>,
    #[serde(default, deserialize_with = "data::unless_null")]
    firstname: Option<String>,
}

impl TryFrom<Told> for Customer {
    type Error = String;

    fn try_from(told: Told) -> Result<Self, String> {
        let fields = [("name", told.name), ("firstname", told.firstname)];
        let [name, firstname] = data::all_or_none(fields)?;
        Ok(Self {
            id: told.customer_id,
            name,
            firstname,
        })
    }
}

impl Customer {
    /// The first name and the family name.
    pub fn full_name(&self) -> String {
        match self.is_erased() {
            true => "erased".to_owned(),
            false => format!("{} {}", self.firstname, self.name),
        }
    }

    /// True if the personal data was erased.
    pub fn is_erased(&self) -> bool {
        self.name.is_empty() && self.firstname.is_empty()
    }
}

/// An address. All fields are empty if the customer is erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    pub street: String,
    pub zip: String,
    pub city: String,
}

impl Address {
    /// True if the address was erased.
    pub fn is_erased(&self) -> bool {
        *self == Self::default()
    }
}

/// A number of pieces of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    pub count: i64,
    pub item: Item,
}

/// An item as it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    #[serde(rename = "itemId")]
    pub id: i64,
    pub name: String,
}

impl Order {
    /// Reads the data of an event that contains a whole order.
    ///
    /// # Errors
    ///
    /// The data cannot be shipped: it is no order, or a field has a wrong value.
    pub fn read(data: &str) -> Result<Self, Unfit> {
        let order: Self = data::read("order", data)?;
        check_lines(&order.lines)?;
        let customer = &order.customer;
        check_text("customer.name", &customer.name)?;
        check_text("customer.firstname", &customer.firstname)?;
        match &order.shipping_address {
            Some(address) => {
                check_text("shippingAddress.street", &address.street)?;
                check_text("shippingAddress.zip", &address.zip)?;
                check_text("shippingAddress.city", &address.city)?;
            }
            None if customer.is_erased() => {}
            None => return Err(Unfit::field("shippingAddress", "it is missing")),
        }
        Ok(order)
    }
}

impl Named {
    /// Reads the data of an event that cancels or erases an order.
    ///
    /// # Errors
    ///
    /// The data has no number of an order.
    pub fn read(data: &str) -> Result<Self, Unfit> {
        #[derive(Deserialize)]
        struct Read {
            id: OrderId,
            #[serde(default)]
            customer: Value,
            #[serde(default)]
            status: Value,
            #[serde(default)]
            placed: Value,
            #[serde(default)]
            updated: Value,
        }
        let read: Read = data::read("order", data)?;
        // An order that was not cancelled was last changed when it was placed.
        let placed = match read.status == "placed" {
            true => read.updated,
            false => read.placed,
        };
        Ok(Self {
            id: read.id,
            customer: read.customer["customerId"].as_i64(),
            placed: placed.as_str().and_then(|placed| placed.parse().ok()),
        })
    }

    /// Returns true if it can be the order that this customer placed at that time. Each side may have truncated or rounded
    /// the time to milliseconds.
    pub fn is_of(&self, customer: i64, placed: DateTime<Utc>) -> bool {
        let same = |known: DateTime<Utc>| (known - placed).abs() < TimeDelta::milliseconds(1);
        self.customer.is_none_or(|known| known == customer) && self.placed.is_none_or(same)
    }

    /// The customer and the time, for messages.
    pub fn placed_by(&self) -> String {
        let customer = self
            .customer
            .map_or("a customer without a number".to_owned(), |known| {
                format!("customer {known}")
            });
        let placed = self
            .placed
            .map_or("a time that it does not name".to_owned(), |known| {
                known.to_string()
            });
        format!("{customer} placed at {placed}")
    }
}

impl Sold {
    /// Reads the same from the data of an event as [`Order::read`], whatever is left of the customer.
    ///
    /// # Errors
    ///
    /// The data is no order, or a field of a line has a wrong value.
    pub fn read(data: &str) -> Result<Self, Unfit> {
        let sold: Self = data::read("order", data)?;
        check_lines(&sold.lines)?;
        Ok(sold)
    }
}

fn check_lines(lines: &[Line]) -> Result<(), Unfit> {
    for (n, line) in lines.iter().enumerate() {
        if line.count < 1 {
            let wrong = format!("{} is less than one piece", line.count);
            return Err(Unfit::field(format!("orderLine[{n}].count"), wrong));
        }
        check_text(format!("orderLine[{n}].item.name"), &line.item.name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_count(count: &str) -> String {
        format!(
            r#"{{"id":7,"customer":{{"customerId":1,"name":"Curie","firstname":"Marie"}},
            "shippingAddress":{{"street":"Rue 1","zip":"75005","city":"Paris"}},
            "orderLine":[{{"count":{count},"item":{{"itemId":1,"name":"iPod","price":1e-9}}}}],
            "updated":"2017-05-01T10:00:05.351+0000"}}"#
        )
    }

    #[test]
    fn an_invalid_order_is_refused_with_the_field() {
        let good = with_count("1");
        let order = Order::read(&good).expect("an order, whatever its prices and dates");
        assert_eq!(order.lines[0].count, 1);
        let cases = [
            (String::new(), "line 1 column 0"),
            ("[]".to_owned(), "line 1"),
            (good.replace("\"id\":7,", ""), "missing field `id`"),
            (
                good.replace("\"id\":7", "\"id\":7.5"),
                "invalid type: floating point",
            ),
            (
                good.replace("\"Marie\"", "null"),
                "expected a string at line 1 column",
            ),
            (
                good.replace("iPod", "i\\u0000Pod"),
                "orderLine[0].item.name: it has a NUL",
            ),
            (
                good.replace("\"city\"", "\"town\""),
                "missing field `city` at line 2",
            ),
            (
                with_count("0"),
                "orderLine[0].count: 0 is less than one piece",
            ),
            (with_count("1e3"), "invalid type: floating point"),
        ];
        for (data, expected) in cases {
            let error = Order::read(&data).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error} instead of {expected}");
        }
    }
}
