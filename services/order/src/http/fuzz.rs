//! Lets fuzzers read orders, customers and items, and checks what must hold for any input. It exists
//! only in tests and with the feature `fuzz`.

use std::collections::BTreeMap;

use feed_chassis::html::Frame;
use rust_decimal::Decimal;
use serde_json::Value;

use super::form::Fields;
use super::records::Resource;
use super::{Pages, body};
use crate::order::{Customer, CustomerId, Item, ItemId};
use crate::representation::{self, without_person};
use crate::rules::{
    Catalog, Draft, FieldError, MAX_COUNT, MAX_LINES, MAX_PRICE, MAX_TEXT, MAX_ZIP, Record,
};

/// Reads the body of an order form; returns whether it is an order.
///
/// # Panics
///
/// Panics if an accepted order breaks a rule, or the form that is shown again has a script from the input.
pub fn form(body: &[u8]) -> bool {
    let fields = Fields::parse(body);
    let catalog = catalog();
    let errors = order(fields.draft(), &catalog);
    let frame = Frame {
        base: "http://127.0.0.1:8081/".parse().expect("a base URL"),
        home: None,
        home_name: "",
        service: "Orders",
        menu: &[],
        feed: None,
    };
    let pages = Pages::new(frame, None, None);
    let scripts = |fields: &Fields, errors: &[FieldError]| {
        let page = pages.form(fields, errors, &catalog).into_string();
        page.matches("<script").count()
    };
    let blank = scripts(&Fields::default(), &[]);
    assert_eq!(scripts(&fields, &errors), blank, "a script of the reader's");
    errors.is_empty()
}

/// Reads JSON as everything that can be posted; returns whether it is an order, a customer or an item.
///
/// # Panics
///
/// Panics if accepted input breaks a rule.
pub fn json(text: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<Value>(text) else {
        return false;
    };
    let mut taken = order(representation::draft(&json), &catalog()).is_empty();
    if json.is_object() {
        let fields = body::Fields {
            values: json,
            form: false,
        };
        if let Ok(item) = Item::check(Item::read(&fields)) {
            line(&item.name, MAX_TEXT);
            assert!((Decimal::ZERO..=MAX_PRICE.into()).contains(&item.price));
            assert_eq!(item.price.scale(), 2, "whole cents: {}", item.price);
            taken = true;
        }
        if let Ok(customer) = Customer::check(Customer::read(&fields)) {
            line(&customer.name, MAX_TEXT);
            line(&customer.firstname, MAX_TEXT);
            line(&customer.email, MAX_TEXT);
            assert!(customer.email.contains('@'));
            taken = true;
        }
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    if let Ok(rest) = without_person(text) {
        let rest: Value = serde_json::from_str(&rest).expect("JSON again");
        for gone in ["shippingAddress", "billingAddress", "email"] {
            assert_eq!(rest.get(gone), None, "{gone} of a person who is erased");
        }
        let customer = rest["customer"].as_object().expect("a number");
        assert_eq!(customer.len(), 1, "{customer:?}");
    }
    taken
}

/// Returns the errors of an order; checks that one without errors keeps all rules.
fn order(draft: Draft, catalog: &Catalog) -> Vec<FieldError> {
    assert!(draft.items().len() <= MAX_LINES);
    match draft.check(catalog) {
        Err(errors) => {
            assert!(!errors.is_empty(), "refused for nothing");
            errors
        }
        Ok(order) => {
            assert!((1..=MAX_LINES).contains(&order.lines.len()));
            for sold in &order.lines {
                assert!((1..=MAX_COUNT).contains(&sold.count));
            }
            for address in [&order.shipping_address, &order.billing_address] {
                line(&address.street, MAX_TEXT);
                line(&address.zip, MAX_ZIP);
                line(&address.city, MAX_TEXT);
            }
            assert!(order.total() > Decimal::ZERO);
            Vec::new()
        }
    }
}

/// Checks that a text is one line, which any database can store.
fn line(text: &str, longest: usize) {
    assert!((1..=longest).contains(&text.chars().count()), "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
    assert_eq!(text.trim(), text);
}

fn catalog() -> Catalog {
    let customer = |id| Customer {
        id: CustomerId(id),
        name: "Wolff".to_owned(),
        firstname: "Eberhard".to_owned(),
        email: "eberhard@example.com".to_owned(),
    };
    let item = |id| Item {
        id: ItemId(id),
        name: "iPod <b>".to_owned(),
        price: Decimal::new(id * 4_200, 2),
    };
    Catalog {
        customers: BTreeMap::from([1, 2].map(|id| (CustomerId(id), customer(id)))),
        items: BTreeMap::from([1, 2, 3, 4].map(|id| (ItemId(id), item(id)))),
    }
}

#[cfg(test)]
mod tests {
    use harness::mutate::{SOME, Seeds, mutations};

    use super::*;

    fn assert_some(target: &str, count: usize, read: impl Fn(&[u8]) -> bool) {
        let seeds = Seeds::of(target);
        let all = mutations(&seeds, count);
        let taken = all.filter(|bytes| read(bytes)).count();
        assert!(taken > count / 100, "{taken} of {count} were read");
        assert!(taken < count, "all of {count} were read");
    }

    #[test]
    fn forms() {
        assert_some("form", SOME, form);
    }

    #[test]
    fn bodies_in_json() {
        assert_some("json", 5 * SOME, json);
    }
}
