//! An order as an event describes it: our own view of what the order service writes, and only as
//! much as an invoice needs. All other fields are ignored, so that they may change.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use feed_console::service::data::{self, Unfit, check_text};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::money;

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

/// An order that was placed, and that an invoice can be written for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: OrderId,
    pub customer: Customer,
    /// Missing only if the customer is erased.
    pub billing_address: Option<Address>,
    #[serde(rename = "orderLine")]
    pub lines: Vec<Line>,
    /// The original has one currency and does not name it.
    #[serde(default = "euro")]
    pub currency: String,
}

/// What was sold with an order, without the customer, who may be erased later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sold {
    pub id: OrderId,
    #[serde(rename = "orderLine")]
    pub lines: Vec<Line>,
    #[serde(default = "euro")]
    pub currency: String,
    /// The price of all lines, in cents.
    #[serde(skip)]
    pub cents: i64,
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

/// The customer, as they were when they ordered. An erased customer has a number alone.
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
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
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
    #[serde(default, deserialize_with = "data::unless_null")]
    email: Option<String>,
}

impl TryFrom<Told> for Customer {
    type Error = String;

    fn try_from(told: Told) -> Result<Self, String> {
        let fields = [
            ("name", told.name),
            ("firstname", told.firstname),
            ("email", told.email),
        ];
        let [name, firstname, email] = data::all_or_none(fields)?;
        Ok(Self {
            id: told.customer_id,
            name,
            firstname,
            email,
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

impl Line {
    /// The price of all pieces.
    pub fn total(&self) -> Decimal {
        Decimal::from(self.count) * self.item.price
    }
}

/// An item as it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    #[serde(rename = "itemId")]
    pub id: i64,
    pub name: String,
    /// Of one piece.
    #[serde(
        serialize_with = "rust_decimal::serde::arbitrary_precision::serialize",
        deserialize_with = "money::exact"
    )]
    #[schemars(schema_with = "money::schema")]
    pub price: Decimal,
}

impl Order {
    /// Reads the data of an event that contains a whole order.
    ///
    /// # Errors
    ///
    /// No invoice can be written for the data: it is no order, or a field has a wrong value.
    pub fn read(data: &str) -> Result<Self, Unfit> {
        let mut order: Self = data::read("order", data)?;
        check_lines(&mut order.lines)?;
        order.check_texts()?;
        Ok(order)
    }

    /// The price of all lines. It is exact and fits into a column, since `read` checks that.
    pub fn total(&self) -> Decimal {
        total(&self.lines)
    }

    fn check_texts(&self) -> Result<(), Unfit> {
        let customer = &self.customer;
        check_text("customer.name", &customer.name)?;
        check_text("customer.firstname", &customer.firstname)?;
        check_text("customer.email", &customer.email)?;
        match &self.billing_address {
            Some(address) => {
                check_text("billingAddress.street", &address.street)?;
                check_text("billingAddress.zip", &address.zip)?;
                check_text("billingAddress.city", &address.city)?;
            }
            None if customer.is_erased() => {}
            None => return Err(Unfit::field("billingAddress", "it is missing")),
        }
        check_currency(&self.currency)
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
        let mut sold: Self = data::read("order", data)?;
        sold.cents = check_lines(&mut sold.lines)?;
        check_currency(&sold.currency)?;
        Ok(sold)
    }
}

/// Checks the lines, and gives prices their two decimals. Returns the total in cents, which must fit into a column.
fn check_lines(lines: &mut [Line]) -> Result<i64, Unfit> {
    let mut total = Some(Decimal::ZERO);
    for (n, line) in lines.iter_mut().enumerate() {
        let field = |name| format!("orderLine[{n}].{name}");
        line.item.price = money::price(line.item.price)
            .map_err(|wrong| Unfit::field(field("item.price"), wrong))?;
        if line.count < 1 {
            let wrong = format!("{} is less than one piece", line.count);
            return Err(Unfit::field(field("count"), wrong));
        }
        check_text(field("item.name"), &line.item.name)?;
        let sum = Decimal::from(line.count).checked_mul(line.item.price);
        total = total
            .zip(sum)
            .and_then(|(total, sum)| total.checked_add(sum));
    }
    total
        .and_then(money::cents)
        .ok_or_else(|| Unfit::field("orderLine", "the total is more than we can count"))
}

fn check_currency(currency: &str) -> Result<(), Unfit> {
    match currency.bytes().all(|byte| byte.is_ascii_uppercase()) && currency.len() == 3 {
        true => Ok(()),
        false => Err(Unfit::field("currency", "it is no code of three letters")),
    }
}

fn total(lines: &[Line]) -> Decimal {
    let mut total = lines.iter().map(Line::total).sum::<Decimal>();
    // A sum of zeros has no decimals of its own.
    total.rescale(money::DECIMALS);
    total
}

fn euro() -> String {
    "EUR".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_lines(lines: &str) -> String {
        format!(
            r#"{{"id":7,"customer":{{"customerId":1,"name":"Curie","firstname":"Marie",
            "email":"marie@example.com"}},"billingAddress":{{"street":"Rue 2","zip":"75005",
            "city":"Paris"}},"orderLine":[{lines}],"updated":"2017-05-01T10:00:05.351+0000"}}"#
        )
    }

    fn with_price(price: &str) -> String {
        let line = r#"{"count":1,"item":{"itemId":1,"name":"iPod","price":PRICE}}"#;
        with_lines(&line.replace("PRICE", price))
    }

    #[test]
    fn a_price_is_exact_or_refused() {
        let prices = [
            ("42.0", Ok("42.00")),
            ("42", Ok("42.00")),
            ("0.10", Ok("0.10")),
            ("0.1000", Ok("0.10")),
            ("4.2e1", Ok("42.00")),
            ("0", Ok("0.00")),
            // Binary floats cannot represent these.
            ("9007199254740993.01", Ok("9007199254740993.01")),
            ("92233720368547758.07", Ok("92233720368547758.07")),
            (
                "92233720368547758.08",
                Err("orderLine[0].item.price: 92233720368547758.08 is more"),
            ),
            ("-0.01", Err("orderLine[0].item.price: -0.01 is negative")),
            (
                "1.005",
                Err("orderLine[0].item.price: 1.005 has more than two decimals"),
            ),
            (
                "0.1000000000000000000000000000000000001",
                Err("has more digits than a price"),
            ),
            (
                "1.0000000000000000000000000000000000001e1",
                Err("has more digits than a price"),
            ),
            ("1e400", Err("has more digits than a price")),
            ("\"42.00\"", Err("invalid type: string")),
            ("null", Err("invalid type: null")),
        ];
        for (price, expected) in prices {
            let read = Order::read(&with_price(price));
            match (read, expected) {
                (Ok(order), Ok(expected)) => assert_eq!(order.total().to_string(), expected),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{price}: {error}");
                }
                (read, _) => panic!("{price}: {read:?}"),
            }
        }
    }

    #[test]
    fn an_invalid_order_is_refused_with_the_field() {
        let line = |count: &str, price: &str| {
            format!(r#"{{"count":{count},"item":{{"itemId":1,"name":"iPod","price":{price}}}}}"#)
        };
        let good = with_lines(&line("1", "1"));
        assert!(Order::read(&good).is_ok());
        let half = line("1", "46116860184273879.04");
        let cases = [
            ("".to_owned(), "line 1 column 0"),
            ("[]".to_owned(), "line 1"),
            (good.replace("\"id\":7,", ""), "missing field `id`"),
            (
                good.replace("\"id\":7", "\"id\":\"7\""),
                "invalid type: string",
            ),
            (
                good.replace("\"Marie\"", "null"),
                "expected a string at line 1 column",
            ),
            (
                good.replace("Marie", "Ma\\u0000rie"),
                "customer.firstname: it has a NUL",
            ),
            (
                good.replace("\"city\"", "\"town\""),
                "missing field `city` at line 3",
            ),
            (
                with_lines(&format!("{},{}", line("1", "1"), line("0", "1"))),
                "orderLine[1].count",
            ),
            (
                with_lines(&line("-3", "1")),
                "orderLine[0].count: -3 is less than one piece",
            ),
            (
                with_lines(&line("1.5", "1")),
                "invalid type: floating point",
            ),
            (
                with_lines(&format!("{half},{half}")),
                "orderLine: the total is more",
            ),
            (
                with_lines(&line("9223372036854775807", "92233720368547758")),
                "the total is more",
            ),
            (
                good.replace("\"id\":7", "\"currency\":\"€\",\"id\":7"),
                "currency",
            ),
        ];
        for (data, expected) in cases {
            let error = Order::read(&data).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error} instead of {expected}");
        }
    }
}
