//! The effect of the order service's events. An order that was placed gets a shipment. If the order is cancelled, the
//! shipment is stopped, or recalled if it has left. If the customer is erased, so is their personal data here.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use feed_console::service::data::{Unfit, read_all};
use feed_core::{Batch, Effect, EffectError, Received};
use sqlx::Transaction;
use tracing::{debug, warn};

use crate::order::{CANCELLED, ERASED, Named, Order, OrderId, PLACED};
use crate::shipment::{Cause, Shipment};
use crate::store::Store;

/// Makes shipments and stops them. A batch takes few statements, however many events it has.
#[derive(Debug, Clone, Copy)]
pub struct Shipping;

/// What an event means to this service.
enum Fact {
    Placed(Order),
    Cancelled(Named),
    Erased(Named),
}

impl Fact {
    /// Reads an event; `None` if its type is unknown here.
    fn read(event: &Received) -> Result<Option<Self>, Unfit> {
        match event.event_type.as_deref() {
            // The feed of the original has no types: each entry is an order.
            None | Some(PLACED) => Order::read(&event.data).map(Self::Placed).map(Some),
            Some(CANCELLED) => Named::read(&event.data).map(Self::Cancelled).map(Some),
            Some(ERASED) => Named::read(&event.data).map(Self::Erased).map(Some),
            Some(_) => Ok(None),
        }
    }

    fn order(&self) -> OrderId {
        match self {
            Self::Placed(order) => order.id,
            Self::Cancelled(order) | Self::Erased(order) => order.id,
        }
    }
}

impl<S: Store> Effect<S> for Shipping {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, S>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let facts = read_all(events, Fact::read)?;
        let orders: Vec<OrderId> = facts.iter().map(|(_, fact)| fact.order()).collect();
        let mut causes = S::causes(tx, &orders).await?;
        // In sequence: a cancellation has an effect only on an order that was placed before it.
        let mut placed = Vec::new();
        let mut cancelled = BTreeMap::new();
        let mut erased = Vec::new();
        for (event, fact) in facts {
            let id = fact.order();
            match (fact, causes.get(&id)) {
                (Fact::Placed(order), None) => {
                    causes.insert(id, Cause::of(&order, event.time, &event.id));
                    placed.push((event, order));
                }
                // The feed was replaced or restarted. Park this event, so that it and later ones leave the shipment
                // unchanged.
                (
                    Fact::Placed(_),
                    Some(Cause {
                        event: Some(cause), ..
                    }),
                ) if *cause != event.id => {
                    return Err(EffectError::Park(format!(
                        "order {id} has a shipment already, of event {cause}"
                    )));
                }
                (Fact::Cancelled(order) | Fact::Erased(order), Some(cause))
                    if !order.is_of(cause.customer, cause.placed) =>
                {
                    return Err(EffectError::Park(format!(
                        "this event is about another order {id} than the shipment that is here: it is about an order which \
                         {}, that is of an order which customer {} placed at {}",
                        order.placed_by(),
                        cause.customer,
                        cause.placed
                    )));
                }
                // The event comes again, or an older version has not recorded the cause.
                (Fact::Placed(_), Some(_)) => {
                    debug!(event.id, order.id = %id, "order {id} has its shipment already");
                }
                (Fact::Cancelled(_), Some(_)) => {
                    cancelled.entry(id).or_insert(event);
                }
                (Fact::Cancelled(_), None) => {
                    let reason = format!("order {id} was cancelled and has no shipment here");
                    events.pass_over(event, reason);
                }
                (Fact::Erased(_), Some(_)) => erased.push(id),
                (Fact::Erased(_), None) => {
                    let reason = format!("order {id} was erased and has no shipment here");
                    events.pass_over(event, reason);
                }
            }
        }
        make(tx, placed).await?;
        cancel(tx, &cancelled).await?;
        // After the statements that store personal data.
        if !erased.is_empty() {
            S::erase(tx, &erased).await?;
        }
        Ok(())
    }

    fn erases(&self, event: &Received) -> bool {
        event.event_type.as_deref() == Some(ERASED)
    }
}

/// Makes the shipments of orders that have none.
async fn make<S: Store>(
    tx: &mut Transaction<'_, S>,
    placed: Vec<(&Received, Order)>,
) -> sqlx::Result<()> {
    if placed.is_empty() {
        return Ok(());
    }
    let (events, shipments): (Vec<&Received>, Vec<Shipment>) = placed
        .into_iter()
        .map(|(event, order)| (event, Shipment::of(order, event.time, &event.id)))
        .unzip();
    S::insert(tx, &shipments).await?;
    for (event, shipment) in events.iter().zip(&shipments) {
        let id = shipment.order;
        debug!(event.id, order.id = %id, "made the shipment of order {id}");
    }
    Ok(())
}

/// Stops the shipments of orders that were cancelled, by the event of the cancellation.
async fn cancel<S: Store>(
    tx: &mut Transaction<'_, S>,
    cancelled: &BTreeMap<OrderId, &Received>,
) -> sqlx::Result<()> {
    if cancelled.is_empty() {
        return Ok(());
    }
    let times: Vec<(OrderId, DateTime<Utc>)> = cancelled
        .iter()
        .map(|(id, event)| (*id, event.time.trunc_subsecs(3)))
        .collect();
    for (id, left) in S::cancel(tx, &times).await? {
        let event_id = cancelled.get(&id).map(|event| event.id.as_str());
        if left {
            warn!(event.id = event_id, order.id = %id, "order {id} was cancelled after dispatch");
        } else {
            debug!(event.id = event_id, order.id = %id, "stopped the shipment of order {id}");
        }
    }
    Ok(())
}
