//! What the invoices ought to be, by the events of the order service. Names and addresses are not
//! compared: they may be erased one day, in the feed or here.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use feed_core::Received;
use feed_core::consumer::{Cited, Difference, Reconcile};
use rust_decimal::Decimal;
use sqlx::Pool;

use crate::invoice::{Invoice, InvoiceNumber};
use crate::money;
use crate::order::{Line, Order, OrderId, Sold};
use crate::store::Store;

/// Invoices read at once.
const PAGE: i64 = 500;

/// Gaps that are reported.
const GAPS: i64 = 1_000;

/// What the events demand, in less than a hundred bytes for each order.
#[derive(Debug, Default)]
pub struct Expected {
    orders: HashMap<OrderId, Demand>,
    /// True if all events were seen, from the first one on.
    from_the_first: bool,
}

/// What the events of one order demand.
#[derive(Debug, Default)]
struct Demand {
    placed: Option<Placed>,
    cancelled: Option<Box<Cited>>,
    /// An event of it has no effect, or not yet.
    left_out: bool,
}

#[derive(Debug)]
struct Placed {
    event: Cited,
    cents: i64,
    currency: [u8; 3],
    lines: u64,
}

impl<S: Store> Reconcile<S> for Expected {
    fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String> {
        self.from_the_first |= event.sequence == Some(1);
        let cancels = match event.event_type.as_deref() {
            None | Some("order.placed") => false,
            Some("order.cancelled") => true,
            // Demands nothing, whatever has become of it.
            Some(_) => return Ok(()),
        };
        if !settled {
            // Its data may be what is wrong with it: what it is about tells the order as well.
            let told = Order::read_id(&event.data).ok();
            let ids = [told, OrderId::of_subject(&event.subject)];
            for id in ids.into_iter().flatten() {
                self.orders.entry(id).or_default().left_out = true;
            }
        } else if cancels {
            let id = Order::read_id(&event.data).map_err(|unfit| unfit.to_string())?;
            let demand = self.orders.entry(id).or_default();
            demand
                .cancelled
                .get_or_insert_with(|| Box::new(event.into()));
        } else {
            let sold = Sold::read(&event.data).map_err(|unfit| unfit.to_string())?;
            let demand = self.orders.entry(sold.id).or_default();
            demand.placed.get_or_insert_with(|| Placed {
                event: event.into(),
                cents: money::cents(sold.total()).unwrap_or(i64::MAX),
                currency: three_letters(&sold.currency),
                lines: fingerprint(&sold.lines),
            });
        }
        Ok(())
    }

    async fn compare(mut self, pool: &Pool<S>) -> sqlx::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        let mut before = OrderId(i64::MAX);
        loop {
            let page = S::list(pool, before, PAGE).await?;
            let Some(last) = page.last() else { break };
            before = last.order;
            for invoice in &page {
                let id = invoice.order;
                let wrong = match self.orders.remove(&id) {
                    Some(demand) => demand.check(invoice),
                    None if self.from_the_first => vec![unexplained(invoice)],
                    None => Vec::new(),
                };
                differences.extend(wrong.into_iter().map(|what| about(id, what)));
            }
        }
        let mut missing: Vec<(OrderId, Demand)> = self.orders.into_iter().collect();
        missing.sort_unstable_by_key(|(id, _)| *id);
        for (id, demand) in missing {
            differences.extend(demand.missing().map(|what| about(id, what)));
        }
        for (year, first, last) in S::gaps(pool, GAPS).await? {
            let [first, last] = [first, last].map(|serial| InvoiceNumber { year, serial });
            differences.push(Difference {
                id: format!("invoice/{first}"),
                what: match first == last {
                    true => format!("no invoice has the number {first}"),
                    false => format!("no invoice has a number from {first} to {last}"),
                },
            });
        }
        Ok(differences)
    }
}

impl Demand {
    /// What is wrong with the invoice of the order.
    fn check(&self, invoice: &Invoice) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.left_out {
            return wrong;
        }
        let number = invoice.number;
        if let Some(placed) = &self.placed {
            let event = &placed.event;
            if let Some(cause) = invoice.cause.as_ref().filter(|id| !event.has_id(id)) {
                wrong.push(format!(
                    "invoice {number} is of event {cause}, not of {event}"
                ));
            }
            let total = Decimal::new(placed.cents, money::DECIMALS);
            if invoice.total != total || three_letters(&invoice.currency) != placed.currency {
                wrong.push(format!(
                    "invoice {number} is over {} {}, the order over {} {}: {event}",
                    invoice.total,
                    invoice.currency,
                    total,
                    String::from_utf8_lossy(&placed.currency)
                ));
            }
            if fingerprint(&invoice.lines) != placed.lines {
                wrong.push(format!(
                    "invoice {number} has other lines than the order: {event}"
                ));
            }
        }
        match (&self.cancelled, invoice.credited) {
            (Some(event), None) => wrong.push(format!(
                "invoice {number} is not credited although the order was cancelled: {event}"
            )),
            (None, Some(_)) => {
                let event = self.placed.as_ref().map(|placed| &placed.event);
                wrong.extend(event.map(|event| {
                    format!(
                        "invoice {number} is credited, and nothing cancels the order of {event}"
                    )
                }));
            }
            _ => {}
        }
        wrong
    }

    /// What is to be said where there is no invoice.
    fn missing(&self) -> Option<String> {
        match (&self.placed, &self.cancelled) {
            _ if self.left_out => None,
            (Some(placed), _) => Some(format!("the order has no invoice: {}", placed.event)),
            (None, Some(event)) => Some(format!("there is no invoice to credit: {event}")),
            (None, None) => None,
        }
    }
}

fn unexplained(invoice: &Invoice) -> String {
    let number = invoice.number;
    match &invoice.cause {
        Some(cause) => {
            format!("invoice {number} is of event {cause}, which the feed does not have")
        }
        None => format!("no event of the feed explains invoice {number}"),
    }
}

fn about(id: OrderId, what: String) -> Difference {
    Difference {
        id: format!("order/{id}"),
        what,
    }
}

/// A currency as an order has it; nothing of a stored one that is none.
fn three_letters(currency: &str) -> [u8; 3] {
    currency.as_bytes().try_into().unwrap_or_default()
}

/// Two lists of lines that differ have different ones, as good as always.
fn fingerprint(lines: &[Line]) -> u64 {
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}
