//! Compares the stored orders with the events that the feed has of them. It changes nothing.
//!
//! Each event has the order as it was then. So the order and the type of an event determine its data, and an order
//! without its events, an event without its order, and a difference between them show that one was altered or deleted
//! past the service. An order whose customer was erased has events without personal data, as it is itself.
//!
//! Orders are placed and cancelled meanwhile. A difference counts if the order is the same before and after its events
//! were read, and all that was committed had its sequence.

use std::collections::{BTreeMap, BTreeSet};

use feed_core::Sequence;
use feed_core::feed::Published;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use crate::order::{CURRENCY, Order, OrderId, Status};
use crate::orders::Orders;
use crate::representation::OrderDocument;
use crate::store::{Selection, Store};

/// Orders that are read at once, with their events.
const PAGE: i64 = 100;

/// The most events of these orders: an order has three at most.
const MOST_EVENTS: u16 = 1_000;

/// Events whose subjects are read at once.
const SUBJECTS: u16 = 1_000;

/// Differences that are kept; more of them need no list.
const KEPT: usize = 1_000;

/// Differences of one order that are kept, so that it hides no other one.
const KEPT_OF_ONE: usize = 10;

/// How often an order is read again that changes meanwhile: it can be cancelled and erased.
const ATTEMPTS: usize = 4;

const PLACED: &str = "order.placed";
const CANCELLED: &str = "order.cancelled";
const ERASED: &str = "order.erased";

/// A difference between the orders and the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The subject, such as `order/17`.
    pub id: String,
    /// What differs.
    pub what: String,
}

/// The result of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The orders that were compared.
    pub orders: u64,
    /// Those of them that are cancelled.
    pub cancelled: u64,
    /// Those of them whose customer was erased.
    pub erased: u64,
    /// The sum of all orders, also of those that are cancelled.
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    pub total: Decimal,
    /// The currency of the sum.
    pub currency: &'static str,
    /// The events of the feed, up to the newest one at the beginning.
    pub events: u64,
    /// The number of differences.
    pub found: u64,
    /// The first thousand differences.
    pub differences: Vec<Difference>,
}

impl Compared {
    fn add(&mut self, id: &str, what: String) {
        self.found += 1;
        if self.differences.len() < KEPT {
            let id = id.to_owned();
            self.differences.push(Difference { id, what });
        }
    }

    fn count(&mut self, order: &Order) {
        self.orders += 1;
        self.cancelled += u64::from(order.status == Status::Cancelled);
        self.erased += u64::from(order.customer.is_erased());
        self.total = self.total.saturating_add(order.total);
    }
}

impl<S: Store> Orders<S> {
    /// Compares all orders with all events, page by page. Calls `progress` with how many orders and events were
    /// compared, and how many there are.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn reconcile(&self, mut progress: impl FnMut(i64, i64)) -> sqlx::Result<Compared> {
        // Numbers what has committed, so that it is in the log.
        let newest = self.feed().publish().await?.sequence;
        let (database, pool) = (self.database(), self.database().reader());
        let all = Selection::default();
        let all = database.statement(S::count(pool, &all)).await? + newest;
        let mut compared = Compared {
            total: Decimal::new(0, 2),
            currency: CURRENCY,
            ..Compared::default()
        };
        let (mut after, mut done) = (OrderId(0), 0);
        loop {
            let orders = S::orders_after(pool, after, PAGE);
            let orders = database.statement(orders).await?;
            let Some(last) = orders.last() else { break };
            after = last.id;
            let subjects: Vec<String> = orders.iter().map(|order| order.id.path()).collect();
            let events = self.feed().about(&subjects, MOST_EVENTS).await?;
            // Then one of them has more events than an order may have: each is read by itself.
            let are_all = events.len() < usize::from(MOST_EVENTS);
            let events = by_subject(events);
            for order in orders {
                let own = events.get(&order.id.path()).map_or(&[][..], Vec::as_slice);
                compared.count(&order);
                if !are_all || !self.differences(&order, own).is_empty() {
                    self.look_again(order.id, &mut compared).await?;
                }
                done += 1;
            }
            progress(done, all);
        }
        let mut at = 0;
        while at < newest {
            self.find_orders(&mut at, newest, &mut compared).await?;
            progress(done + at, all);
        }
        compared.events = newest.unsigned_abs();
        Ok(compared)
    }

    /// Adds what differs in an order that does not change while its events are read.
    async fn look_again(&self, id: OrderId, compared: &mut Compared) -> sqlx::Result<()> {
        let find = || {
            let order = S::find(self.database().reader(), id);
            self.database().statement(order)
        };
        for _ in 0..ATTEMPTS {
            let before = find().await?;
            self.feed().publish().await?;
            let subject = id.path();
            let events = self
                .feed()
                .about(std::slice::from_ref(&subject), MOST_EVENTS)
                .await?;
            if before != find().await? {
                continue;
            }
            match before {
                Some(order) => {
                    let all = self.differences(&order, &events);
                    compared.found += all.len().saturating_sub(KEPT_OF_ONE) as u64;
                    for what in all.into_iter().take(KEPT_OF_ONE) {
                        compared.add(&subject, what);
                    }
                }
                None => compared.add(&subject, "the order was deleted meanwhile".to_owned()),
            }
            return Ok(());
        }
        compared.add(&id.path(), "the order changes all the time".to_owned());
        Ok(())
    }

    /// Finds the orders of the events after `at`, and moves it. An event commits with its order, and no order is ever
    /// deleted.
    async fn find_orders(
        &self,
        at: &mut Sequence,
        newest: Sequence,
        compared: &mut Compared,
    ) -> sqlx::Result<()> {
        let mut rows = self.feed().subjects(*at, SUBJECTS).await?;
        rows.retain(|(sequence, _)| *sequence <= newest);
        let end = newest.min(*at + Sequence::from(SUBJECTS));
        let missing = usize::try_from(end - *at).unwrap_or(usize::MAX) - rows.len();
        if missing > 0 {
            let what = format!(
                "{missing} of the events {} to {end} are not in the log",
                *at + 1
            );
            compared.add("feed", what);
        }
        let ids: BTreeSet<i64> = rows
            .iter()
            .filter_map(|(_, subject)| number(subject))
            .collect();
        let ids: Vec<i64> = ids.into_iter().collect();
        let stored = S::stored(self.database().reader(), &ids);
        let stored = self.database().statement(stored).await?;
        let stored: BTreeSet<i64> = stored.into_iter().collect();
        for (sequence, subject) in rows {
            match number(&subject) {
                Some(id) if stored.contains(&id) => {}
                Some(_) => compared.add(
                    &subject,
                    format!("there is no such order, but event {sequence} is about it"),
                ),
                None => compared.add(&subject, format!("event {sequence} is about no order")),
            }
        }
        *at = end;
        Ok(())
    }

    /// Describes what differs between an order and its events, which are in sequence.
    fn differences(&self, order: &Order, events: &[Published]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (event_type, demanded) in [
            (PLACED, true),
            (CANCELLED, order.status == Status::Cancelled),
            (ERASED, order.customer.is_erased()),
        ] {
            let of_type = |event: &&Published| event.event_type == event_type;
            let status = order.status.as_str();
            match (events.iter().filter(of_type).count(), demanded) {
                (0, true) => wrong.push(format!(
                    "the order is {status}, and has no event {event_type}"
                )),
                (1, true) | (0, false) => {}
                (_, true) => wrong.push(format!("it has several events {event_type}")),
                (_, false) => wrong.push(format!(
                    "it has an event {event_type}, but the order is {status} and not erased"
                )),
            }
        }
        if order.status == Status::Placed && order.updated != order.placed {
            wrong.push(format!(
                "the order is placed at {}, and nothing has changed it at {}",
                order.placed, order.updated
            ));
        }
        if order.number_of_lines != order.lines.len() as i64 {
            wrong.push(format!(
                "lists have {} lines of the order, which has {}",
                order.number_of_lines,
                order.lines.len()
            ));
        }
        // As the order was at each event.
        let mut then = Order {
            status: Status::Placed,
            updated: order.placed,
            ..order.clone()
        };
        for event in events {
            let named = format!("event {} ({})", event.sequence, event.event_type);
            match &*event.event_type {
                PLACED | ERASED => {}
                CANCELLED => (then.status, then.updated) = (Status::Cancelled, order.updated),
                _ => {
                    wrong.push(format!(
                        "{named} has a type that this service does not publish"
                    ));
                    continue;
                }
            }
            let expected = OrderDocument::new(&then, self.base()).to_json();
            match (members(&event.data), members(&expected)) {
                (Some(data), Some(mut expected)) => {
                    // Older versions did not write it.
                    if !data.contains_key("placed") {
                        expected.remove("placed");
                    }
                    let differing = differing(&data, &expected);
                    if !differing.is_empty() {
                        let names = differing.join(", ");
                        wrong.push(format!("{named} has another order: {names}"));
                    }
                }
                _ => wrong.push(format!("the data of {named} cannot be read")),
            }
        }
        wrong
    }
}

/// The number of an order, from the subject of its events.
fn number(subject: &str) -> Option<i64> {
    let id = OrderId(subject.strip_prefix("order/")?.parse().ok()?);
    (id.path() == subject).then_some(id.0)
}

fn by_subject(events: Vec<Published>) -> BTreeMap<String, Vec<Published>> {
    let mut by_subject: BTreeMap<String, Vec<Published>> = BTreeMap::new();
    for event in events {
        let own = by_subject.entry(event.subject.clone()).or_default();
        own.push(event);
    }
    by_subject
}

/// The members of a document, without the address of the order: `BASE_URL` may have changed since.
fn members(document: &str) -> Option<serde_json::Map<String, Value>> {
    let mut members: serde_json::Map<String, Value> = serde_json::from_str(document).ok()?;
    members.remove("_links");
    Some(members)
}

/// The names of the members that differ.
fn differing<'a>(
    one: &'a serde_json::Map<String, Value>,
    other: &'a serde_json::Map<String, Value>,
) -> Vec<&'a str> {
    let names: BTreeSet<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    let differs = |name: &&str| one.get(*name) != other.get(*name);
    names.into_iter().filter(differs).collect()
}
