//! The effect of the order service's events. An order that was placed gets an invoice. If the order is cancelled, the
//! invoice is credited. If the customer is erased, the invoice keeps only what a law requires (docs/erasure.md).

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use feed_console::service::data::{Unfit, read_all};
use feed_core::{Batch, Effect, EffectError, Received};
use sqlx::Transaction;
use tracing::debug;

use crate::invoice::{Cause, Invoice};
use crate::order::{CANCELLED, ERASED, Named, Order, OrderId, PLACED};
use crate::store::Store;

/// Writes invoices and credit notes. A batch takes few statements, however many events it has.
#[derive(Debug, Clone, Copy)]
pub struct Invoicing;

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

impl<S: Store> Effect<S> for Invoicing {
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
        let mut cancelled = Cancelled::new();
        let mut erased = Vec::new();
        for (event, fact) in facts {
            let id = fact.order();
            match (fact, causes.get(&id)) {
                (Fact::Placed(order), None) => {
                    causes.insert(id, Cause::of(&order, event.time, &event.id));
                    placed.push((event, order));
                }
                // The feed was replaced or restarted. Park this event, so that it and later ones leave the invoice
                // unchanged.
                (
                    Fact::Placed(_),
                    Some(Cause {
                        event: Some(cause), ..
                    }),
                ) if *cause != event.id => {
                    return Err(EffectError::Park(format!(
                        "order {id} has an invoice already, of event {cause}"
                    )));
                }
                (Fact::Cancelled(order) | Fact::Erased(order), Some(cause))
                    if !order.is_of(cause.customer, cause.placed) =>
                {
                    return Err(EffectError::Park(format!(
                        "this event is about another order {id} than the invoice that is here: it is about an order which \
                         {}, that is of an order which customer {} placed at {}",
                        order.placed_by(),
                        cause.customer,
                        cause.placed
                    )));
                }
                // The event comes again, or an older version has not recorded the cause.
                (Fact::Placed(_), Some(_)) => {
                    debug!(event.id, order.id = %id, "order {id} has its invoice already");
                }
                (Fact::Cancelled(_), Some(_)) => {
                    cancelled.entry(id).or_insert(event);
                }
                (Fact::Cancelled(_), None) => {
                    let reason = format!("order {id} was cancelled and has no invoice here");
                    events.pass_over(event, reason);
                }
                (Fact::Erased(_), Some(_)) => erased.push(id),
                (Fact::Erased(_), None) => {
                    let reason = format!("order {id} was erased and has no invoice here");
                    events.pass_over(event, reason);
                }
            }
        }
        let new: HashSet<OrderId> = placed.iter().map(|(_, order)| order.id).collect();
        let (at_once, cancelled): (Cancelled<'_>, Cancelled<'_>) =
            cancelled.into_iter().partition(|(id, _)| new.contains(id));
        credit(tx, &cancelled).await?;
        // Last, since it reserves numbers, for which other instances wait.
        issue(tx, placed, &at_once).await?;
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

/// Orders that were cancelled, with the event of the cancellation.
type Cancelled<'a> = BTreeMap<OrderId, &'a Received>;

/// Writes the invoices of orders that have none, some of which are `cancelled` already.
async fn issue<S: Store>(
    tx: &mut Transaction<'_, S>,
    placed: Vec<(&Received, Order)>,
    cancelled: &Cancelled<'_>,
) -> sqlx::Result<()> {
    if placed.is_empty() {
        return Ok(());
    }
    let mut serials: BTreeMap<i32, i64> = BTreeMap::new();
    for (event, _) in &placed {
        *serials.entry(Invoice::year(event.time)).or_default() += 1;
    }
    // Other instances wait for this reservation until the commit. So it is made once for each year, in the order
    // of years, which excludes deadlocks.
    for (year, serial) in &mut serials {
        *serial = S::reserve(tx, *year, *serial).await?;
    }
    let mut invoices = Vec::with_capacity(placed.len());
    for (event, order) in placed {
        let next = serials.entry(Invoice::year(event.time)).or_default();
        let mut invoice = Invoice::issue(order, *next, event.time, &event.id);
        invoice.credited = cancelled
            .get(&invoice.order)
            .map(|event| credited_at(event));
        invoices.push(invoice);
        *next += 1;
    }
    S::insert(tx, &invoices).await?;
    for invoice in &invoices {
        let (id, number, cause) = (invoice.order, invoice.number, invoice.cause.as_deref());
        debug!(event.id = cause, order.id = %id, "invoiced order {id} as {number}");
    }
    Ok(())
}

/// Credits the invoices of orders that were cancelled.
async fn credit<S: Store>(
    tx: &mut Transaction<'_, S>,
    cancelled: &Cancelled<'_>,
) -> sqlx::Result<()> {
    if cancelled.is_empty() {
        return Ok(());
    }
    let credits: Vec<(OrderId, DateTime<Utc>)> = cancelled
        .iter()
        .map(|(id, event)| (*id, credited_at(event)))
        .collect();
    for id in S::credit(tx, &credits).await? {
        let event_id = cancelled.get(&id).map(|event| event.id.as_str());
        debug!(event.id = event_id, order.id = %id, "credited order {id}");
    }
    Ok(())
}

/// The time of a cancellation, in the precision that the database stores.
fn credited_at(event: &Received) -> DateTime<Utc> {
    event.time.trunc_subsecs(3)
}
