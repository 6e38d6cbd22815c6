//! Compares the invoices with the events of the order service: with all that an invoice has of its event. Of an order
//! whose customer was erased, the recipient is not compared, since the feed no longer has it.

use std::time::Duration;

use feed_console::service::demand::{Demand, Demanded, Demands, fingerprint};
use feed_core::consumer::{Cited, Compared, Difference, Kind, Reconcile};
use feed_core::{Database, Received};
use rust_decimal::Decimal;

use crate::invoice::{Invoice, InvoiceNumber};
use crate::money;
use crate::order::{Address, CANCELLED, Customer, ERASED, Named, Order, OrderId, PLACED, Sold};
use crate::store::{Selection, Store};

/// The longest time to look for gaps: one statement reads the numbers of all invoices.
const ALL_NUMBERS: Duration = Duration::from_mins(10);

/// Gaps that are reported.
const GAPS: i64 = 1_000;

/// What the events demand.
#[derive(Debug, Default)]
pub struct Expected(Demands<OrderId, Placed, Cancelled>);

/// What an event demands of an invoice.
#[derive(Debug)]
pub struct Placed {
    event: Cited,
    cents: i64,
    currency: [u8; 3],
    lines: u64,
    /// `None` if the customer was erased.
    recipient: Option<u64>,
}

/// What the event of a cancellation says.
#[derive(Debug)]
pub struct Cancelled {
    event: Cited,
    order: Named,
}

impl<S: Store> Reconcile<S> for Expected {
    fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String> {
        self.0.see(event);
        match event.event_type.as_deref() {
            None | Some(PLACED | CANCELLED) if !settled => {
                // Its data may be the reason. The subject names the order as well.
                let read = Named::read(&event.data).ok();
                let ids = [
                    read.map(|order| order.id),
                    OrderId::of_subject(&event.subject),
                ];
                self.0.leave_out(ids.into_iter().flatten());
            }
            None | Some(PLACED) => {
                let sold = Sold::read(&event.data).map_err(|unfit| unfit.to_string())?;
                let placed = Placed {
                    event: event.into(),
                    cents: sold.cents,
                    currency: three_letters(&sold.currency),
                    lines: fingerprint(&sold.lines),
                    recipient: Order::read(&event.data).ok().and_then(recipient_of),
                };
                self.0.record(sold.id, placed);
            }
            Some(CANCELLED) => {
                let order = Named::read(&event.data).map_err(|unfit| unfit.to_string())?;
                let event = event.into();
                self.0.end(order.id, Cancelled { event, order });
            }
            // The event of the order may have been read before the erasure.
            Some(ERASED) => {
                let order = Named::read(&event.data).ok();
                if let Some(placed) = order.and_then(|order| self.0.demanded(order.id)) {
                    placed.recipient = None;
                }
            }
            // Events of other types demand nothing.
            Some(_) => {}
        }
        Ok(())
    }

    async fn compare(self, database: &Database<S>) -> sqlx::Result<Compared> {
        let all = Selection::default();
        let page = async |before, limit| {
            let page = S::list(database.reader(), &all, before, limit);
            database.statement(page).await
        };
        let mut compared = self.0.compare(page).await?;
        let gaps = S::gaps(database.reader(), GAPS);
        for (year, first, last) in database.within(ALL_NUMBERS, gaps).await? {
            let [first, last] = [first, last].map(|serial| InvoiceNumber { year, serial });
            compared.differences.push(Difference {
                id: format!("invoice/{first}"),
                what: match first == last {
                    true => format!("no invoice has the number {first}"),
                    false => format!("no invoice has a number from {first} to {last}"),
                },
                kind: Kind::Gap,
            });
        }
        Ok(compared)
    }
}

impl Demanded for Invoice {
    type Key = OrderId;
    type Demand = Placed;
    type End = Cancelled;

    const SUBJECT: &'static str = "order";

    fn key(&self) -> OrderId {
        self.order
    }

    fn differences(&self, demand: &Demand<Placed, Cancelled>) -> Vec<String> {
        let number = self.number;
        let mut wrong = Vec::new();
        if let Some(placed) = &demand.record {
            let event = &placed.event;
            if let Some(cause) = self.cause.as_ref().filter(|id| !event.has_id(id)) {
                wrong.push(format!(
                    "invoice {number} is of event {cause}, not of {event}"
                ));
            }
            let total = Decimal::new(placed.cents, money::DECIMALS);
            if self.total != total || three_letters(&self.currency) != placed.currency {
                wrong.push(format!(
                    "invoice {number} is over {} {}, the order over {} {}: {event}",
                    self.total,
                    self.currency,
                    total,
                    String::from_utf8_lossy(&placed.currency)
                ));
            }
            if let Some(placed) = event.other_time(self.issued) {
                wrong.push(format!(
                    "invoice {number} has the date {}, the order {placed}: {event}",
                    self.issued
                ));
            }
            let recipient = recipient(&self.customer, &self.billing_address);
            if placed
                .recipient
                .is_some_and(|demanded| demanded != recipient)
            {
                wrong.push(format!(
                    "invoice {number} has another customer or address than the order: {event}"
                ));
            }
            if fingerprint(&self.lines) != placed.lines {
                wrong.push(format!(
                    "invoice {number} has other lines than the order: {event}"
                ));
            }
        }
        match (demand.ended.as_deref(), self.credited, &demand.record) {
            (Some(Cancelled { event, order }), ..)
                if !order.is_of(self.customer.id, self.issued) =>
            {
                wrong.push(format!(
                    "invoice {number} is of another order than the one that was cancelled, of customer {} and {}: {event}",
                    self.customer.id, self.issued
                ));
            }
            (Some(Cancelled { event, .. }), None, _) => wrong.push(format!(
                "invoice {number} is not credited although the order was cancelled: {event}"
            )),
            (Some(Cancelled { event, .. }), Some(at), _) => {
                let cancelled = event.other_time(at);
                wrong.extend(cancelled.map(|cancelled| {
                    format!("invoice {number} is credited at {at}, the order was cancelled at {cancelled}: {event}")
                }));
            }
            (None, Some(_), Some(Placed { event, .. })) => wrong.push(format!(
                "invoice {number} is credited, and nothing cancels the order of {event}"
            )),
            _ => {}
        }
        wrong
    }

    fn demanded_amount(placed: &Placed) -> Option<(String, i64)> {
        let currency = String::from_utf8_lossy(&placed.currency);
        Some((format!("invoiced {currency}"), placed.cents))
    }

    fn amount(&self) -> Option<(String, i64)> {
        let cents = money::cents(self.total).unwrap_or(i64::MAX);
        Some((format!("invoiced {}", self.currency), cents))
    }

    const DECIMALS: usize = money::DECIMALS as usize;

    fn undemanded(&self) -> String {
        let number = self.number;
        let named = self.cause.as_ref();
        let named = named.map(|cause| format!(", which names event {cause}"));
        format!(
            "no event about this order explains invoice {number} over {} {}{}",
            self.total,
            self.currency,
            named.unwrap_or_default()
        )
    }

    fn missing(demand: &Demand<Placed, Cancelled>) -> Option<String> {
        match (&demand.record, &demand.ended) {
            (Some(placed), _) => Some(format!("the order has no invoice: {}", placed.event)),
            (None, Some(ended)) => Some(format!("there is no invoice to credit: {}", ended.event)),
            (None, None) => None,
        }
    }
}

/// Returns a fingerprint of the recipient of an order's invoice; `None` if the customer was erased.
fn recipient_of(order: Order) -> Option<u64> {
    let address = order.billing_address.unwrap_or_default();
    (!order.customer.is_erased()).then(|| recipient(&order.customer, &address))
}

fn recipient(customer: &Customer, address: &Address) -> u64 {
    fingerprint(&(customer, address))
}

/// A currency as an order has it; zeros if a stored one is no code of three letters.
fn three_letters(currency: &str) -> [u8; 3] {
    currency.as_bytes().try_into().unwrap_or_default()
}
