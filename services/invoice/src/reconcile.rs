//! Compares the invoices with the events of the order service. Names and addresses are not compared: they may be
//! erased later, in the feed or here.

use feed_console::service::demand::{Demand, Demanded, Demands, fingerprint};
use feed_core::Received;
use feed_core::consumer::{Cited, Compared, Difference, Kind, Reconcile};
use rust_decimal::Decimal;
use sqlx::Pool;

use crate::invoice::{Invoice, InvoiceNumber};
use crate::money;
use crate::order::{CANCELLED, Order, OrderId, PLACED, Sold};
use crate::store::{Selection, Store};

/// Gaps that are reported.
const GAPS: i64 = 1_000;

/// What the events demand.
#[derive(Debug, Default)]
pub struct Expected(Demands<OrderId, Placed>);

/// What an event demands of an invoice.
#[derive(Debug)]
pub struct Placed {
    event: Cited,
    cents: i64,
    currency: [u8; 3],
    lines: u64,
}

impl<S: Store> Reconcile<S> for Expected {
    fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String> {
        self.0.see(event);
        match event.event_type.as_deref() {
            None | Some(PLACED | CANCELLED) if !settled => {
                // Its data may be the reason. The subject names the order as well.
                let read = Order::read_id(&event.data).ok();
                let ids = [read, OrderId::of_subject(&event.subject)];
                self.0.leave_out(ids.into_iter().flatten());
            }
            None | Some(PLACED) => {
                let sold = Sold::read(&event.data).map_err(|unfit| unfit.to_string())?;
                let placed = Placed {
                    event: event.into(),
                    cents: money::cents(sold.total()).unwrap_or(i64::MAX),
                    currency: three_letters(&sold.currency),
                    lines: fingerprint(&sold.lines),
                };
                self.0.record(sold.id, placed);
            }
            Some(CANCELLED) => {
                let id = Order::read_id(&event.data).map_err(|unfit| unfit.to_string())?;
                self.0.end(id, event);
            }
            // Events of other types demand nothing.
            Some(_) => {}
        }
        Ok(())
    }

    async fn compare(self, pool: &Pool<S>) -> sqlx::Result<Compared> {
        let all = Selection::default();
        let page = |before, limit| S::list(pool, &all, before, limit);
        let mut compared = self.0.compare(OrderId(i64::MAX), page).await?;
        for (year, first, last) in S::gaps(pool, GAPS).await? {
            let [first, last] = [first, last].map(|serial| InvoiceNumber { year, serial });
            compared.differences.push(Difference {
                id: format!("invoice/{first}"),
                what: match first == last {
                    true => format!("no invoice has the number {first}"),
                    false => format!("no invoice has a number from {first} to {last}"),
                },
                kind: Kind::Missing,
            });
        }
        Ok(compared)
    }
}

impl Demanded for Invoice {
    type Key = OrderId;
    type Demand = Placed;

    const SUBJECT: &'static str = "order";

    fn key(&self) -> OrderId {
        self.order
    }

    fn differences(&self, demand: &Demand<Placed>) -> Vec<String> {
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
            if fingerprint(&self.lines) != placed.lines {
                wrong.push(format!(
                    "invoice {number} has other lines than the order: {event}"
                ));
            }
        }
        match (&demand.ended, self.credited, &demand.record) {
            (Some(event), None, _) => wrong.push(format!(
                "invoice {number} is not credited although the order was cancelled: {event}"
            )),
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
        match &self.cause {
            Some(cause) => {
                format!("invoice {number} is of event {cause}, which the feed does not have")
            }
            None => format!("no event of the feed explains invoice {number}"),
        }
    }

    fn missing(demand: &Demand<Placed>) -> Option<String> {
        match (&demand.record, &demand.ended) {
            (Some(placed), _) => Some(format!("the order has no invoice: {}", placed.event)),
            (None, Some(event)) => Some(format!("there is no invoice to credit: {event}")),
            (None, None) => None,
        }
    }
}

/// A currency as an order has it; zeros if a stored one is no code of three letters.
fn three_letters(currency: &str) -> [u8; 3] {
    currency.as_bytes().try_into().unwrap_or_default()
}
