//! What an order is, with its customer and items. It knows neither SQL nor HTTP.

use std::fmt;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

/// All prices are in this currency.
pub const CURRENCY: &str = "EUR";

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The number of an order.
    OrderId
}
impl OrderId {
    /// The path of the order's page below the service's base URL; also the subject of its events.
    pub fn path(self) -> String {
        format!("order/{self}")
    }
}

number! {
    /// The number of a customer.
    CustomerId
}

number! {
    /// The number of an item.
    ItemId
}

/// A customer. An order has the customer as they were when it was placed, unless they were erased since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Customer {
    #[serde(rename = "customerId")]
    pub id: CustomerId,
    /// The family name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firstname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
}

impl Customer {
    /// The first name and the family name.
    pub fn full_name(&self) -> String {
        match self.is_erased() {
            true => "erased".to_owned(),
            false => format!("{} {}", self.firstname, self.name),
        }
    }

    /// True if the customer is erased: then only the number is left.
    pub fn is_erased(&self) -> bool {
        self.name.is_empty()
    }
}

/// A customer who obeys all rules and has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCustomer {
    pub name: String,
    pub firstname: String,
    pub email: String,
}

/// An item that can be ordered. An order has the item as it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Item {
    #[serde(rename = "itemId")]
    pub id: ItemId,
    pub name: String,
    /// Of one piece, with two decimals.
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[schemars(schema_with = "money")]
    pub price: Decimal,
}

impl Item {
    /// Its name and price, as a form offers it.
    pub fn label(&self) -> String {
        format!("{}, {} {CURRENCY}", self.name, self.price)
    }
}

/// The JSON schema of an amount.
pub(crate) fn money(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number", "minimum": 0, "examples": [42.00]})
}

/// An item that obeys all rules and has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    pub name: String,
    /// Of one piece, with two decimals.
    pub price: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Address {
    pub street: String,
    pub zip: String,
    pub city: String,
}

impl Address {
    /// True if the customer is erased, and so the address.
    pub fn is_erased(&self) -> bool {
        self.street.is_empty()
    }
}

/// A number of pieces of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrderLine {
    pub count: i64,
    pub item: Item,
}

impl OrderLine {
    /// The price of all pieces.
    pub fn total(&self) -> Decimal {
        Decimal::from(self.count) * self.item.price
    }
}

/// The state of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Status {
    Placed,
    Cancelled,
}

impl Status {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Placed, Self::Cancelled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An order that obeys all rules ([`crate::rules`]) and is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub customer: Customer,
    pub shipping_address: Address,
    pub billing_address: Address,
    pub lines: Vec<OrderLine>,
}

impl NewOrder {
    pub fn total(&self) -> Decimal {
        let mut total: Decimal = self.lines.iter().map(OrderLine::total).sum();
        // A sum of zeros has no decimals of its own.
        total.rescale(2);
        total
    }

    /// The order that is stored under `id` at `now`.
    pub fn placed(self, id: OrderId, now: DateTime<Utc>) -> Order {
        Order {
            id,
            status: Status::Placed,
            placed: now,
            updated: now,
            total: self.total(),
            customer: self.customer,
            shipping_address: self.shipping_address,
            billing_address: self.billing_address,
            number_of_lines: self.lines.len() as i64,
            lines: self.lines,
        }
    }
}

/// An order: the customer, the items that were sold, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub status: Status,
    pub placed: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
    pub customer: Customer,
    pub shipping_address: Address,
    pub billing_address: Address,
    pub lines: Vec<OrderLine>,
    /// The number of lines as it is stored for lists, which do not read the lines.
    pub number_of_lines: i64,
    pub total: Decimal,
}

/// An order in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub id: OrderId,
    pub status: Status,
    pub placed: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub customer: Customer,
    pub number_of_lines: i64,
    pub total: Decimal,
}
