//! The rules for an item.

use feed_chassis::openapi::LINE;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Record;
use super::check::{Errors, FieldError, MAX_PRICE, MAX_TEXT, check_text};
use crate::order::{Item, ItemId, NewItem};

/// An item as a client sends one, unchecked. `None` is a field that is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "NewItem", description = "An item as a client wishes it")]
pub struct DraftItem {
    #[schemars(required, length(max = MAX_TEXT), pattern(LINE))]
    pub name: Option<String>,
    /// With a decimal point.
    #[schemars(required, schema_with = "price")]
    pub price: Option<String>,
}

/// A price in JSON: a number, or a text for clients that only have binary floats.
fn price(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_PRICE, "multipleOf": 0.01},
            {"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,2})?$"},
        ],
        "examples": [12.50],
    })
}

impl From<&Item> for DraftItem {
    fn from(item: &Item) -> Self {
        Self {
            name: Some(item.name.clone()),
            price: Some(item.price.to_string()),
        }
    }
}

impl Record for Item {
    type Draft = DraftItem;
    type New = NewItem;

    const NAME: &'static str = "item";
    const LIST: &'static str = "items";

    fn check(draft: DraftItem) -> Result<NewItem, Vec<FieldError>> {
        let mut errors = Errors::default();
        let name = errors.unless("name", check_text("a name", draft.name, MAX_TEXT));
        let price = errors.unless("price", check_price(draft.price));
        match (name, price) {
            (Some(name), Some(price)) => Ok(NewItem { name, price }),
            _ => Err(errors.into()),
        }
    }

    fn numbered(new: NewItem, id: i64) -> Self {
        Self {
            id: ItemId(id),
            name: new.name,
            price: new.price,
        }
    }

    fn id(&self) -> i64 {
        self.id.0
    }
}

/// Refuses a comma, since `1,000` is a thousand in some countries and one in others, Rust's `1_000`, and `1e3`.
fn check_price(text: Option<String>) -> Result<Decimal, String> {
    let text = text.unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let plain = Some(text.trim()).filter(|text| text.bytes().all(is_plain));
    let price = plain.and_then(|text| Decimal::from_str_exact(text).ok());
    let bounds = Decimal::ZERO..=Decimal::from(MAX_PRICE);
    match price.map(|price| price.normalize()) {
        Some(mut price) if bounds.contains(&price) && price.scale() <= 2 => {
            price.rescale(2);
            Ok(price)
        }
        _ => Err(
            "Enter a price from 0.00 to 1000000.00, with a point before the cents and without \
             commas, such as 12.50."
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(price: &str) -> Option<String> {
        let draft = DraftItem {
            name: Some("Tea".to_owned()),
            price: Some(price.to_owned()),
        };
        match Item::check(draft) {
            Ok(item) => Some(item.price.to_string()),
            Err(errors) => {
                assert_eq!(errors.len(), 1);
                assert_eq!(errors[0].field, "price");
                None
            }
        }
    }

    #[test]
    fn a_price_has_whole_cents() {
        for (text, price) in [
            ("0", "0.00"),
            (" 12.5 ", "12.50"),
            ("12.500", "12.50"),
            ("1000000.00", "1000000.00"),
        ] {
            assert_eq!(check(text).as_deref(), Some(price), "{text}");
        }
        for text in [
            "",
            "-1",
            "12.505",
            "1000000.01",
            "1,5",
            "1_000",
            "1.000,00",
            "12 EUR",
            "NaN",
            "1e3",
            "1e99",
            "+1",
        ] {
            assert_eq!(check(text), None, "{text}");
        }
    }

    #[test]
    fn all_errors_are_reported() {
        let errors = Item::check(DraftItem::default()).expect_err("refused");
        let fields: Vec<_> = errors.into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "price"]);
    }
}
