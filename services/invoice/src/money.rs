//! Amounts of money: decimal numbers with two decimals, never binary floats, and never rounded.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// The decimals of an amount.
pub(crate) const DECIMALS: u32 = 2;

/// An amount in cents, if it is a whole number of them and a column holds it.
pub(crate) fn cents(amount: Decimal) -> Option<i64> {
    let cents = amount.checked_mul(Decimal::ONE_HUNDRED)?;
    cents.is_integer().then(|| cents.to_i64()).flatten()
}

/// The price with two decimals: `42.0` is 42.00.
pub(crate) fn price(price: Decimal) -> Result<Decimal, String> {
    let normal = price.normalize();
    if normal.is_sign_negative() && !normal.is_zero() {
        Err(format!("{normal} is negative"))
    } else if normal.scale() > DECIMALS {
        Err(format!("{normal} has more than two decimals"))
    } else {
        let cents = cents(normal).ok_or_else(|| format!("{normal} is more than we can count"))?;
        Ok(Decimal::new(cents, DECIMALS))
    }
}

/// The JSON schema of an amount.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number", "minimum": 0, "examples": [42.00]})
}

/// The JSON schema of an amount that is credited.
pub(crate) fn negative(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number", "maximum": 0, "examples": [-42.00]})
}

/// Deserializes a JSON number exactly, digit by digit.
pub(crate) fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let text = number.as_str();
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    Decimal::from_str_exact(mantissa)
        .and_then(|exact| match mantissa.len() == text.len() {
            true => Ok(exact),
            false => Decimal::from_scientific(text),
        })
        .map_err(|_| serde::de::Error::custom("a number has more digits than a price"))
}
