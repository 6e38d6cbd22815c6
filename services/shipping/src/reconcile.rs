//! What the shipments ought to be, by the events of the order service. Names and addresses are not
//! compared: they may be erased one day, in the feed or here. Whether goods were dispatched, people
//! say and no event.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use feed_core::Received;
use feed_core::consumer::{Cited, Difference, Reconcile};
use sqlx::Pool;

use crate::order::{Line, Order, OrderId, Sold};
use crate::shipment::Shipment;
use crate::store::Store;

/// Shipments read at once.
const PAGE: i64 = 500;

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
            for shipment in &page {
                let id = shipment.order;
                let wrong = match self.orders.remove(&id) {
                    Some(demand) => demand.check(shipment),
                    None if self.from_the_first => vec![unexplained(shipment)],
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
        Ok(differences)
    }
}

impl Demand {
    /// What is wrong with the shipment of the order.
    fn check(&self, shipment: &Shipment) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.left_out {
            return wrong;
        }
        if let Some(placed) = &self.placed {
            let event = &placed.event;
            if let Some(cause) = shipment.cause.as_ref().filter(|id| !event.has_id(id)) {
                wrong.push(format!("the shipment is of event {cause}, not of {event}"));
            }
            if fingerprint(&shipment.lines) != placed.lines {
                wrong.push(format!(
                    "the shipment has other lines than the order: {event}"
                ));
            }
        }
        match (&self.cancelled, shipment.cancelled) {
            (Some(event), None) => wrong.push(format!(
                "the shipment is {} although the order was cancelled: {event}",
                shipment.status().as_str()
            )),
            (None, Some(_)) => {
                let event = self.placed.as_ref().map(|placed| &placed.event);
                wrong.extend(event.map(|event| {
                    let status = shipment.status().as_str();
                    format!("the shipment is {status}, and nothing cancels the order of {event}")
                }));
            }
            _ => {}
        }
        wrong
    }

    /// What is to be said where there is no shipment.
    fn missing(&self) -> Option<String> {
        match (&self.placed, &self.cancelled) {
            _ if self.left_out => None,
            (Some(placed), _) => Some(format!("the order has no shipment: {}", placed.event)),
            (None, Some(event)) => Some(format!("there is no shipment to stop: {event}")),
            (None, None) => None,
        }
    }
}

fn unexplained(shipment: &Shipment) -> String {
    match &shipment.cause {
        Some(cause) => format!("the shipment is of event {cause}, which the feed does not have"),
        None => "no event of the feed explains the shipment".to_owned(),
    }
}

fn about(id: OrderId, what: String) -> Difference {
    Difference {
        id: format!("order/{id}"),
        what,
    }
}

/// Two lists of lines that differ have different ones, as good as always.
fn fingerprint(lines: &[Line]) -> u64 {
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}
