//! The orders that the demo places: random, and the same for the same seed.

use fastrand::Rng;
use serde::Serialize;

use super::catalog::{PLACES, Place};

/// An order as it is sent to the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewOrder {
    customer: i64,
    shipping_address: Address,
    billing_address: Address,
    order_line: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Address {
    street: String,
    zip: &'static str,
    city: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    item: i64,
    count: i64,
}

/// An order, and whether it will be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) order: NewOrder,
    pub(super) cancelled: bool,
}

/// All orders of one seed, without end.
#[derive(Debug)]
pub(super) struct Orders {
    rng: Rng,
    customers: Vec<i64>,
    items: Vec<i64>,
    /// The share of cancelled orders, in percent.
    cancel: u8,
}

impl Orders {
    /// Orders of these customers for these items, with at least one of each.
    pub(super) fn new(seed: u64, customers: Vec<i64>, items: Vec<i64>, cancel: u8) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            customers,
            items,
            cancel,
        }
    }

    /// Some customers order often, others hardly ever.
    fn customer(&mut self) -> i64 {
        let last = self.customers.len();
        self.customers[self.rng.usize(..last).min(self.rng.usize(..last))]
    }

    /// Most go to the customer's home, some to another address.
    fn shipping_address(&mut self, home: &Address) -> Address {
        match self.rng.u8(..5) {
            0 => address(&mut self.rng),
            _ => home.clone(),
        }
    }

    /// Few lines of few pieces; now and then a large order.
    fn lines(&mut self) -> Vec<Line> {
        let wanted = 1 + self.rng.usize(..5).min(self.rng.usize(..5));
        let office = self.rng.u8(..40) == 0;
        let mut items = self.rng.choose_multiple(self.items.iter().copied(), wanted);
        self.rng.shuffle(&mut items);
        let mut count = || match office {
            true => self.rng.i64(10..=60),
            false => self.rng.i64(1..=4).min(self.rng.i64(1..=4)),
        };
        let line = |item| Line {
            item,
            count: count(),
        };
        items.into_iter().map(line).collect()
    }
}

impl Iterator for Orders {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let customer = self.customer();
        let home = home(customer);
        let order = NewOrder {
            customer,
            shipping_address: self.shipping_address(&home),
            billing_address: home,
            order_line: self.lines(),
        };
        let cancelled = self.rng.u8(..100) < self.cancel;
        Some(Planned { order, cancelled })
    }
}

/// The home of a customer, the same in each order.
fn home(customer: i64) -> Address {
    address(&mut Rng::with_seed(customer.unsigned_abs()))
}

fn address(rng: &mut Rng) -> Address {
    let Place { street, zip, city } = PLACES[rng.usize(..PLACES.len())];
    Address {
        street: street.replace('#', &rng.u8(1..=140).to_string()),
        zip,
        city,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use order::order::{Customer, CustomerId, Item, ItemId};
    use order::representation::draft;
    use order::rules::{Catalog, DraftCustomer, DraftItem, Record};

    use super::super::catalog::{CUSTOMERS, ITEMS};
    use super::*;

    const MANY: usize = 2_000;

    /// Many orders in a shop that has what the demo adds, numbered from 1.
    fn orders(seed: u64, cancel: u8) -> Vec<Planned> {
        let ids = |last: usize| (1_i64..).take(last).collect();
        let orders = Orders::new(seed, ids(CUSTOMERS.len()), ids(ITEMS.len()), cancel);
        orders.take(MANY).collect()
    }

    fn catalog() -> Catalog {
        let customers = (1..).zip(CUSTOMERS).map(|(id, customer)| {
            let draft = DraftCustomer {
                firstname: Some(customer.firstname.to_owned()),
                name: Some(customer.name.to_owned()),
                email: Some(customer.email.to_owned()),
            };
            let new = Customer::check(draft).expect("a customer");
            (CustomerId(id), Customer::numbered(new, id))
        });
        let items = (1..).zip(ITEMS).map(|(id, item)| {
            let draft = DraftItem {
                name: Some(item.name.to_owned()),
                price: Some(item.price.to_owned()),
            };
            let new = Item::check(draft).expect("an item");
            (ItemId(id), Item::numbered(new, id))
        });
        Catalog {
            customers: customers.collect(),
            items: items.collect(),
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_orders() {
        assert_eq!(orders(42, 5), orders(42, 5));
        assert_ne!(orders(42, 5), orders(43, 5));
    }

    #[test]
    fn every_order_keeps_the_rules_of_the_shop() {
        let catalog = catalog();
        for Planned { order, .. } in orders(1, 5) {
            let json = serde_json::to_value(&order).expect("JSON");
            let checked = draft(&json).check(&catalog);
            let order = checked.unwrap_or_else(|errors| panic!("{errors:?}: {json}"));
            assert!((1..=5).contains(&order.lines.len()), "{json}");
            let items: BTreeSet<ItemId> = order.lines.iter().map(|line| line.item.id).collect();
            assert_eq!(items.len(), order.lines.len(), "an item has one line");
            assert!(order.lines.iter().all(|line| line.count <= 60), "{json}");
        }
    }

    #[test]
    fn one_customer_and_one_item_are_enough() {
        for Planned { order, .. } in Orders::new(1, vec![7], vec![8], 0).take(MANY) {
            assert_eq!(order.customer, 7);
            let items: Vec<i64> = order.order_line.iter().map(|line| line.item).collect();
            assert_eq!(items, [8]);
        }
    }

    #[test]
    fn the_configured_share_is_cancelled() {
        let cancelled = |cancel| {
            let orders = orders(7, cancel);
            orders.iter().filter(|planned| planned.cancelled).count()
        };
        assert_eq!(cancelled(0), 0);
        assert_eq!(cancelled(100), MANY);
        assert!((60..=140).contains(&cancelled(5)), "{}", cancelled(5));
    }

    #[test]
    fn every_customer_orders_and_has_one_home() {
        let mut homes: BTreeMap<i64, Address> = BTreeMap::new();
        let orders = orders(9, 0);
        for Planned { order, .. } in &orders {
            let home = homes.entry(order.customer);
            let home = home.or_insert_with(|| order.billing_address.clone());
            assert_eq!(*home, order.billing_address);
            assert!(!home.street.contains('#'), "{home:?}");
        }
        assert_eq!(homes.len(), CUSTOMERS.len());
        let away =
            |planned: &&Planned| planned.order.shipping_address != planned.order.billing_address;
        let away = orders.iter().filter(away).count();
        assert!((MANY / 10..MANY / 3).contains(&away), "{away}");
    }

    #[test]
    fn customers_and_items_are_unique() {
        let emails: BTreeSet<&str> = CUSTOMERS.iter().map(|customer| customer.email).collect();
        assert_eq!(emails.len(), CUSTOMERS.len());
        let names: BTreeSet<&str> = ITEMS.iter().map(|item| item.name).collect();
        assert_eq!(names.len(), ITEMS.len());
        for known in ["O'Brien", "Müller", "日本", "José"] {
            let is_known = |text: &str| text.contains(known);
            let mut names = CUSTOMERS.iter().flat_map(|who| [who.firstname, who.name]);
            assert!(names.any(is_known), "{known}");
        }
    }
}
