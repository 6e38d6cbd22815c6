//! Compares the shipments with the events of the order service. Names and addresses are not compared: they may be
//! erased later, in the feed or here. Nor is the dispatch, which is no event.

use feed_console::service::demand::{Demand, Demanded, Demands, fingerprint};
use feed_core::Received;
use feed_core::consumer::{Cited, Compared, Reconcile};
use sqlx::Pool;

use crate::order::{CANCELLED, Order, OrderId, PLACED, Sold};
use crate::shipment::Shipment;
use crate::store::{Selection, Store};

/// What the events demand.
#[derive(Debug, Default)]
pub struct Expected(Demands<OrderId, Placed>);

/// What an event demands of a shipment.
#[derive(Debug)]
pub struct Placed {
    event: Cited,
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
        self.0.compare(OrderId(i64::MAX), page).await
    }
}

impl Demanded for Shipment {
    type Key = OrderId;
    type Demand = Placed;

    const SUBJECT: &'static str = "order";

    fn key(&self) -> OrderId {
        self.order
    }

    fn differences(&self, demand: &Demand<Placed>) -> Vec<String> {
        let status = self.status().as_str();
        let mut wrong = Vec::new();
        if let Some(placed) = &demand.record {
            let event = &placed.event;
            if let Some(cause) = self.cause.as_ref().filter(|id| !event.has_id(id)) {
                wrong.push(format!("the shipment is of event {cause}, not of {event}"));
            }
            if fingerprint(&self.lines) != placed.lines {
                wrong.push(format!(
                    "the shipment has other lines than the order: {event}"
                ));
            }
        }
        match (&demand.ended, self.cancelled, &demand.record) {
            (Some(event), None, _) => wrong.push(format!(
                "the shipment is {status} although the order was cancelled: {event}"
            )),
            (None, Some(_), Some(Placed { event, .. })) => wrong.push(format!(
                "the shipment is {status}, and nothing cancels the order of {event}"
            )),
            _ => {}
        }
        wrong
    }

    fn undemanded(&self) -> String {
        match &self.cause {
            Some(cause) => {
                format!("the shipment is of event {cause}, which the feed does not have")
            }
            None => "no event of the feed explains the shipment".to_owned(),
        }
    }

    fn missing(demand: &Demand<Placed>) -> Option<String> {
        match (&demand.record, &demand.ended) {
            (Some(placed), _) => Some(format!("the order has no shipment: {}", placed.event)),
            (None, Some(event)) => Some(format!("there is no shipment to stop: {event}")),
            (None, None) => None,
        }
    }
}
