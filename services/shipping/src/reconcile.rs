//! Compares the shipments with the events of the order service: with all that a shipment has of its event. Of an order
//! whose customer was erased, the recipient is not compared, since the feed no longer has it. Nor is the dispatch of any
//! order, which is no event.

use feed_console::service::demand::{Demand, Demanded, Demands, fingerprint};
use feed_core::consumer::{Cited, Compared, Reconcile};
use feed_core::{Database, Received};

use crate::order::{Address, CANCELLED, Customer, ERASED, Named, Order, OrderId, PLACED, Sold};
use crate::shipment::Shipment;
use crate::store::{Selection, Store};

/// What the events demand.
#[derive(Debug, Default)]
pub struct Expected(Demands<OrderId, Placed, Cancelled>);

/// What an event demands of a shipment.
#[derive(Debug)]
pub struct Placed {
    event: Cited,
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
        self.0.compare(page).await
    }
}

impl Demanded for Shipment {
    type Key = OrderId;
    type Demand = Placed;
    type End = Cancelled;

    const SUBJECT: &'static str = "order";

    fn key(&self) -> OrderId {
        self.order
    }

    fn differences(&self, demand: &Demand<Placed, Cancelled>) -> Vec<String> {
        let status = self.status().as_str();
        let mut wrong = Vec::new();
        if let Some(placed) = &demand.record {
            let event = &placed.event;
            if let Some(cause) = self.cause.as_ref().filter(|id| !event.has_id(id)) {
                wrong.push(format!("the shipment is of event {cause}, not of {event}"));
            }
            if let Some(placed) = event.other_time(self.placed) {
                wrong.push(format!(
                    "the shipment is of an order placed at {}, and the order was placed at {placed}: {event}",
                    self.placed
                ));
            }
            let recipient = recipient(&self.customer, &self.shipping_address);
            if placed
                .recipient
                .is_some_and(|demanded| demanded != recipient)
            {
                wrong.push(format!(
                    "the shipment has another customer or address than the order: {event}"
                ));
            }
            if fingerprint(&self.lines) != placed.lines {
                wrong.push(format!(
                    "the shipment has other lines than the order: {event}"
                ));
            }
        }
        match (demand.ended.as_deref(), self.cancelled, &demand.record) {
            (Some(Cancelled { event, order }), ..)
                if !order.is_of(self.customer.id, self.placed) =>
            {
                wrong.push(format!(
                    "the shipment is of another order than the one that was cancelled, of customer {} and {}: {event}",
                    self.customer.id, self.placed
                ));
            }
            (Some(Cancelled { event, .. }), None, _) => wrong.push(format!(
                "the shipment is {status} although the order was cancelled: {event}"
            )),
            (Some(Cancelled { event, .. }), Some(at), _) => {
                let cancelled = event.other_time(at);
                wrong.extend(cancelled.map(|cancelled| {
                    format!("the shipment is {status} since {at}, and the order was cancelled at {cancelled}: {event}")
                }));
            }
            (None, Some(_), Some(Placed { event, .. })) => wrong.push(format!(
                "the shipment is {status}, and nothing cancels the order of {event}"
            )),
            _ => {}
        }
        wrong
    }

    fn undemanded(&self) -> String {
        let named = self.cause.as_ref();
        let named = named.map(|cause| format!(", which names event {cause}"));
        format!(
            "no event about this order explains the shipment{}",
            named.unwrap_or_default()
        )
    }

    fn missing(demand: &Demand<Placed, Cancelled>) -> Option<String> {
        match (&demand.record, &demand.ended) {
            (Some(placed), _) => Some(format!("the order has no shipment: {}", placed.event)),
            (None, Some(ended)) => Some(format!("there is no shipment to stop: {}", ended.event)),
            (None, None) => None,
        }
    }
}

/// Returns a fingerprint of the recipient of an order's goods; `None` if the customer was erased.
fn recipient_of(order: Order) -> Option<u64> {
    let address = order.shipping_address.unwrap_or_default();
    (!order.customer.is_erased()).then(|| recipient(&order.customer, &address))
}

fn recipient(customer: &Customer, address: &Address) -> u64 {
    fingerprint(&(customer, address))
}
