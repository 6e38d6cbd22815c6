//! An order as JSON. It has the names and the nesting of the original, so that consumers of the original still work.
//! Resources, answers and the data of events have the same form.

use chrono::{DateTime, SecondsFormat, Utc};
use feed_core::http::BaseUrl;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::order::{
    Address, CURRENCY, Customer, Order, OrderId, OrderLine, Status, Summary, money,
};
use crate::rules::{Draft, DraftAddress, DraftLine};

/// Reads the order that a client sends. A field that is missing or of another type is `None`: the rules report it
/// together with all other errors.
pub fn draft(json: &Value) -> Draft {
    let address = |json: &Value| DraftAddress {
        street: text(&json["street"]),
        zip: text(&json["zip"]),
        city: text(&json["city"]),
    };
    let line = |json: &Value| DraftLine {
        item: json["item"].as_i64(),
        count: json["count"].as_i64(),
        shown: None,
    };
    let lines = json["orderLine"].as_array();
    Draft {
        customer: json["customer"].as_i64(),
        shown: None,
        shipping_address: address(&json["shippingAddress"]),
        billing_address: address(&json["billingAddress"]),
        lines: lines.into_iter().flatten().map(line).collect(),
    }
}

fn text(json: &Value) -> Option<String> {
    json.as_str().map(str::to_owned)
}

/// A whole order.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Order")]
pub struct OrderDocument<'a> {
    id: OrderId,
    customer: &'a Customer,
    /// When it was placed; only in an order that was cancelled since
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    placed: Option<String>,
    /// When it last changed
    #[schemars(extend("format" = "date-time"))]
    updated: String,
    #[serde(skip_serializing_if = "Address::is_erased")]
    shipping_address: &'a Address,
    #[serde(skip_serializing_if = "Address::is_erased")]
    billing_address: &'a Address,
    order_line: &'a [OrderLine],
    number_of_lines: usize,
    status: Status,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[schemars(schema_with = "money")]
    total: Decimal,
    #[schemars(pattern(r"^[A-Z]{3}$"))]
    currency: &'static str,
    #[serde(rename = "_links")]
    links: SelfLink,
}

impl<'a> OrderDocument<'a> {
    pub fn new(order: &'a Order, base: &BaseUrl) -> Self {
        Self {
            id: order.id,
            customer: &order.customer,
            placed: (order.status == Status::Cancelled).then(|| instant(order.placed)),
            updated: instant(order.updated),
            shipping_address: &order.shipping_address,
            billing_address: &order.billing_address,
            order_line: &order.lines,
            number_of_lines: order.lines.len(),
            status: order.status,
            total: order.total,
            currency: CURRENCY,
            links: SelfLink::to(order.id, base),
        }
    }

    /// The document's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an order has neither maps nor writers that fail")
    }
}

/// The fields of an order that stay when the customer is erased. All others are removed. Each value keeps its text.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Impersonal<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    customer: Numbered<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    placed: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    updated: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    order_line: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    number_of_lines: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    status: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    total: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    currency: Option<&'a RawValue>,
    #[serde(borrow, rename = "_links", skip_serializing_if = "Option::is_none")]
    links: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbered<'a> {
    #[serde(borrow)]
    customer_id: &'a RawValue,
}

/// Removes the personal data from the text of an order's document.
///
/// # Errors
///
/// The text is no such document.
pub fn without_person(document: &str) -> serde_json::Result<String> {
    serde_json::to_string(&serde_json::from_str::<Impersonal<'_>>(document)?)
}

/// An order in a list, without addresses and lines.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OrderSummary")]
pub struct SummaryDocument<'a> {
    id: OrderId,
    customer: &'a Customer,
    /// When it was placed
    #[schemars(extend("format" = "date-time"))]
    placed: String,
    /// When it last changed
    #[schemars(extend("format" = "date-time"))]
    updated: String,
    number_of_lines: i64,
    status: Status,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[schemars(schema_with = "money")]
    total: Decimal,
    #[schemars(pattern(r"^[A-Z]{3}$"))]
    currency: &'static str,
    #[serde(rename = "_links")]
    links: SelfLink,
}

impl<'a> SummaryDocument<'a> {
    pub fn new(order: &'a Summary, base: &BaseUrl) -> Self {
        Self {
            id: order.id,
            customer: &order.customer,
            placed: instant(order.placed),
            updated: instant(order.updated),
            number_of_lines: order.number_of_lines,
            status: order.status,
            total: order.total,
            currency: CURRENCY,
            links: SelfLink::to(order.id, base),
        }
    }
}

/// The links of an order.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Links")]
struct SelfLink {
    #[serde(rename = "self")]
    this: Link,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Link {
    #[schemars(url)]
    href: String,
}

impl SelfLink {
    fn to(id: OrderId, base: &BaseUrl) -> Self {
        Self {
            this: Link {
                href: base.join(&id.path()).to_string(),
            },
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn personal_data_is_removed_and_the_rest_keeps_its_text() {
        let document = r#"{"id":7,"customer":{"customerId":1,"name":"Curie","firstname":"Marie",
            "email":"marie@example.com","phone":"1"},"updated":"2026-09-10T10:00:00.000Z",
            "shippingAddress":{"street":"Rue 1"},"billingAddress":null,"note":"for Marie",
            "orderLine":[{"count": 2, "item":{"itemId":1,"name":"iPod","price":42.00}}],
            "numberOfLines":1,"status":"placed","total":84.00,"currency":"EUR",
            "_links":{"self":{"href":"https://shop.example/order/7"}}}"#;
        let left = r#"{"id":7,"customer":{"customerId":1},"updated":"2026-09-10T10:00:00.000Z","#
            .to_owned()
            + r#""orderLine":[{"count": 2, "item":{"itemId":1,"name":"iPod","price":42.00}}],"#
            + r#""numberOfLines":1,"status":"placed","total":84.00,"currency":"EUR","#
            + r#""_links":{"self":{"href":"https://shop.example/order/7"}}}"#;
        assert_eq!(without_person(document).expect("an order"), left);
        assert_eq!(without_person(&left).expect("an order"), left);
        let few = r#"{"id":7,"customer":{"customerId":1}}"#;
        assert_eq!(without_person(few).expect("an order"), few);
        assert!(without_person("[]").is_err());
    }

    #[test]
    fn a_field_of_another_type_counts_as_missing() {
        let wrong: Value = serde_json::from_str(
            r#"{"customer": "1", "shippingAddress": ["Rue 1", "75005", "Paris"],
                "billingAddress": {"street": 1, "zip": null, "city": "Paris"},
                "orderLine": [{"item": 7.0, "count": 1e3}, [7, 1], {"item": 7, "count": "2"}]}"#,
        )
        .expect("JSON");
        let expected = Draft {
            billing_address: DraftAddress {
                city: Some("Paris".to_owned()),
                ..DraftAddress::default()
            },
            lines: vec![
                DraftLine::default(),
                DraftLine::default(),
                DraftLine {
                    item: Some(7),
                    ..DraftLine::default()
                },
            ],
            ..Draft::default()
        };
        assert_eq!(draft(&wrong), expected);
        for wrong in [
            json!(null),
            json!([1]),
            json!("order"),
            json!({"orderLine": {"item": 7}}),
        ] {
            assert_eq!(draft(&wrong), Draft::default());
        }
    }
}
