//! The rules for an order.

use std::collections::{BTreeMap, BTreeSet};

use feed_chassis::openapi::LINE;
use feed_chassis::text::isolate;
use schemars::JsonSchema;

use super::check::{Errors, FieldError, MAX_COUNT, MAX_LINES, MAX_TEXT, MAX_ZIP, check_text};
use crate::order::{Address, Customer, CustomerId, Item, ItemId, NewOrder, OrderLine};

/// An order as a client sends it, unchecked. `None` is a field that is missing, or of another type.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(
    rename = "NewOrder",
    rename_all = "camelCase",
    description = "An order as a client wishes it"
)]
pub struct Draft {
    /// The number of a customer.
    #[schemars(required)]
    pub customer: Option<i64>,
    /// The name of the customer that the form showed; `None` for a program.
    #[schemars(skip)]
    pub shown: Option<String>,
    pub shipping_address: DraftAddress,
    pub billing_address: DraftAddress,
    #[schemars(rename = "orderLine", length(min = 1, max = MAX_LINES))]
    pub lines: Vec<DraftLine>,
}

/// An address in a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "NewAddress")]
pub struct DraftAddress {
    #[schemars(required, length(max = MAX_TEXT), pattern(LINE))]
    pub street: Option<String>,
    #[schemars(required, length(max = MAX_ZIP), pattern(LINE))]
    pub zip: Option<String>,
    #[schemars(required, length(max = MAX_TEXT), pattern(LINE))]
    pub city: Option<String>,
}

/// A line in a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "NewLine")]
pub struct DraftLine {
    /// The number of an item.
    #[schemars(required)]
    pub item: Option<i64>,
    #[schemars(required, range(min = 1, max = MAX_COUNT))]
    pub count: Option<i64>,
    /// The label of the item that the form showed, with its price; `None` for a program.
    #[schemars(skip)]
    pub shown: Option<String>,
}

/// The customers and items that an order may name, with their current names and prices.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub customers: BTreeMap<CustomerId, Customer>,
    pub items: BTreeMap<ItemId, Item>,
}

impl Draft {
    /// The items that it names, each once.
    pub fn items(&self) -> BTreeSet<ItemId> {
        let lines = self.lines.iter().take(MAX_LINES);
        lines.filter_map(|line| line.item).map(ItemId).collect()
    }

    /// What was changed of the customer and the items since a form showed them.
    pub fn changes(&self, catalog: &Catalog) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let customer = self.customer.map(CustomerId);
        if let Some(customer) = customer.and_then(|id| catalog.customers.get(&id)) {
            let same = same_as_shown(self.shown.as_deref(), &customer.full_name());
            errors.unless("customer", same);
        }
        for (index, line) in self.lines.iter().enumerate() {
            if let Some(item) = line.item.and_then(|id| catalog.items.get(&ItemId(id))) {
                let same = same_as_shown(line.shown.as_deref(), &item.label());
                errors.unless(&format!("orderLine[{index}].item"), same);
            }
        }
        errors.into()
    }

    /// Checks the draft; customer and items are those of `catalog`.
    ///
    /// # Errors
    ///
    /// The draft breaks rules: all errors.
    pub fn check(self, catalog: &Catalog) -> Result<NewOrder, Vec<FieldError>> {
        let mut errors = Errors::default();
        let customer = known_customer(self.customer, self.shown.as_deref(), catalog);
        let customer = errors.unless("customer", customer);
        let shipping = check_address("shippingAddress", self.shipping_address, &mut errors);
        let billing = check_address("billingAddress", self.billing_address, &mut errors);
        let lines = check_lines(self.lines, catalog, &mut errors);
        match (customer, shipping, billing) {
            (Some(customer), Some(shipping_address), Some(billing_address))
                if errors.is_empty() =>
            {
                Ok(NewOrder {
                    customer,
                    shipping_address,
                    billing_address,
                    lines,
                })
            }
            _ => Err(errors.into()),
        }
    }
}

fn known_customer(
    id: Option<i64>,
    shown: Option<&str>,
    catalog: &Catalog,
) -> Result<Customer, String> {
    let id = id.ok_or("Choose a customer.")?;
    let known = catalog.customers.get(&CustomerId(id)).cloned();
    let known = known.ok_or_else(|| unknown_customer(CustomerId(id)).message)?;
    same_as_shown(shown, &known.full_name())?;
    Ok(known)
}

/// Rejects a choice whose name or price differs from what the form showed.
fn same_as_shown(shown: Option<&str>, now: &str) -> Result<(), String> {
    match shown {
        Some(shown) if shown != now => Err(format!(
            "“{}” was changed and is now “{}”. If that is right, press Place order again.",
            isolate(shown),
            isolate(now)
        )),
        _ => Ok(()),
    }
}

/// The error of an order whose customer does not exist, or no longer.
pub fn unknown_customer(id: CustomerId) -> FieldError {
    FieldError {
        field: "customer".to_owned(),
        message: format!("There is no customer {id}."),
    }
}

fn known_item(id: Option<i64>, shown: Option<&str>, catalog: &Catalog) -> Result<Item, String> {
    let id = id.ok_or("Choose an item.")?;
    let known = catalog.items.get(&ItemId(id)).cloned();
    let known = known.ok_or_else(|| format!("There is no item {id}."))?;
    same_as_shown(shown, &known.label())?;
    Ok(known)
}

fn check_count(count: Option<i64>) -> Result<i64, String> {
    count
        .filter(|count| (1..=MAX_COUNT).contains(count))
        .ok_or_else(|| {
            "Enter a whole number from 1 to 1000000, without points or commas.".to_owned()
        })
}

fn check_lines(lines: Vec<DraftLine>, catalog: &Catalog, errors: &mut Errors) -> Vec<OrderLine> {
    if !(1..=MAX_LINES).contains(&lines.len()) {
        errors.add("orderLine", "An order has 1 to 1,000 lines.");
        return Vec::new();
    }
    let check = |(index, line): (usize, DraftLine)| {
        let item = known_item(line.item, line.shown.as_deref(), catalog);
        let item = errors.unless(&format!("orderLine[{index}].item"), item);
        let count = check_count(line.count);
        let count = errors.unless(&format!("orderLine[{index}].count"), count);
        Some(OrderLine {
            count: count?,
            item: item?,
        })
    };
    lines.into_iter().enumerate().filter_map(check).collect()
}

fn check_address(name: &str, address: DraftAddress, errors: &mut Errors) -> Option<Address> {
    let DraftAddress { street, zip, city } = address;
    let mut check = |field, what, text, max| {
        errors.unless(&format!("{name}.{field}"), check_text(what, text, max))
    };
    let street = check("street", "a street", street, MAX_TEXT);
    let zip = check("zip", "a ZIP code", zip, MAX_ZIP);
    let city = check("city", "a city", city, MAX_TEXT);
    Some(Address {
        street: street?,
        zip: zip?,
        city: city?,
    })
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    fn catalog() -> Catalog {
        let customer = Customer {
            id: CustomerId(1),
            name: "Curie".to_owned(),
            firstname: "Marie".to_owned(),
            email: "marie@example.com".to_owned(),
        };
        let item = Item {
            id: ItemId(7),
            name: "Radium".to_owned(),
            price: Decimal::new(4_200, 2),
        };
        Catalog {
            customers: BTreeMap::from([(customer.id, customer)]),
            items: BTreeMap::from([(item.id, item)]),
        }
    }

    fn address() -> DraftAddress {
        DraftAddress {
            street: Some(" Rue 1 ".to_owned()),
            zip: Some("75005".to_owned()),
            city: Some("Paris".to_owned()),
        }
    }

    fn draft() -> Draft {
        Draft {
            customer: Some(1),
            shipping_address: address(),
            billing_address: address(),
            lines: vec![line(7, 1); 2],
            shown: None,
        }
    }

    fn line(item: i64, count: i64) -> DraftLine {
        DraftLine {
            item: Some(item),
            count: Some(count),
            shown: None,
        }
    }

    /// The fields of the errors of `draft`.
    fn refused(draft: Draft) -> Vec<String> {
        let errors = draft.check(&catalog()).expect_err("the draft is refused");
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_draft_that_keeps_the_rules_becomes_an_order() {
        let order = draft().check(&catalog()).expect("an order");
        assert_eq!(order.shipping_address.street, "Rue 1", "trimmed");
        assert_eq!(order.total().to_string(), "84.00");
    }

    #[test]
    fn what_was_changed_since_the_form_showed_it_is_refused_with_old_and_new() {
        let mut seen = draft();
        seen.shown = Some("Marie Curie".to_owned());
        seen.lines[0].shown = Some("Radium, 42.00 EUR".to_owned());
        assert_eq!(seen.changes(&catalog()), []);
        seen.clone().check(&catalog()).expect("an order");
        seen.shown = Some("Marie Sklodowska".to_owned());
        seen.lines[1].shown = Some("Radium, 41.00 EUR".to_owned());
        let changes = seen.changes(&catalog());
        assert_eq!(changes[1].field, "orderLine[1].item");
        let said = &changes[1].message;
        assert!(said.contains("41.00") && said.contains("42.00"), "{said}");
        assert_eq!(seen.check(&catalog()).expect_err("refused"), changes);
    }

    #[test]
    fn the_bounds_themselves_are_accepted() {
        let mut all = draft();
        all.lines = vec![line(7, MAX_COUNT); MAX_LINES];
        all.billing_address.street = Some("日".repeat(MAX_TEXT));
        all.billing_address.zip = Some("9".repeat(MAX_ZIP));
        let order = all.check(&catalog()).expect("an order");
        assert_eq!(order.total().to_string(), "42000000000.00");
    }

    #[test]
    fn each_rule_names_its_field() {
        type Change = fn(&mut Draft);
        fn street(draft: &mut Draft, text: String) {
            draft.shipping_address.street = Some(text);
        }
        fn count(draft: &mut Draft, count: i64) {
            draft.lines[1].count = Some(count);
        }
        let cases: [(&str, Change); 15] = [
            ("customer", |draft| draft.customer = None),
            ("customer", |draft| draft.customer = Some(2)),
            ("shippingAddress.street", |draft| {
                street(draft, String::new())
            }),
            ("shippingAddress.street", |draft| {
                street(draft, " \t".to_owned())
            }),
            ("shippingAddress.street", |draft| {
                street(draft, "a\0b".to_owned())
            }),
            ("shippingAddress.street", |draft| {
                street(draft, "a\nb".to_owned())
            }),
            ("shippingAddress.street", |draft| {
                street(draft, "x".repeat(MAX_TEXT + 1))
            }),
            ("billingAddress.zip", |draft| {
                draft.billing_address.zip = Some("9".repeat(MAX_ZIP + 1));
            }),
            ("orderLine", |draft| draft.lines.clear()),
            ("orderLine", |draft| {
                draft.lines = vec![line(7, 1); MAX_LINES + 1]
            }),
            ("orderLine[1].item", |draft| {
                draft.lines[1].item = Some(8);
            }),
            ("orderLine[1].count", |draft| count(draft, 0)),
            ("orderLine[1].count", |draft| count(draft, -1)),
            ("orderLine[1].count", |draft| count(draft, MAX_COUNT + 1)),
            ("orderLine[1].count", |draft| count(draft, i64::MAX)),
        ];
        for (field, change) in cases {
            let mut draft = draft();
            change(&mut draft);
            assert_eq!(refused(draft), [field]);
        }
    }

    #[test]
    fn all_errors_of_an_empty_draft_are_reported() {
        let fields = [
            "customer",
            "shippingAddress.street",
            "shippingAddress.zip",
            "shippingAddress.city",
            "billingAddress.street",
            "billingAddress.zip",
            "billingAddress.city",
            "orderLine",
        ];
        assert_eq!(refused(Draft::default()), fields);
    }
}
