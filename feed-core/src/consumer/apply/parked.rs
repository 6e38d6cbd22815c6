//! Stores a parked event: as it was received, and with the location of its data if that is missing.

use serde::{Deserialize, Serialize};
use sqlx::Transaction;

use super::failure::{describe, retry_in};
use crate::consumer::effect::EffectError;
use crate::consumer::received::Received;
use crate::consumer::sanitize::sanitize;
use crate::consumer::source::content::{Arrival, Missing};
use crate::partition::partition_of;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::Parking;

/// Parked events read in one statement.
const PAGE: i64 = 100;

/// The stored form. The reason for missing data is a field beside the event's own, so that older
/// versions of this program can still read the event.
#[derive(Serialize)]
struct StoredEvent<'a> {
    #[serde(flatten)]
    event: &'a Received,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: &'a Option<Missing>,
}

/// The field beside the event's own; older versions wrote none. It is parsed separately, since
/// flattened fields lose the precision of numbers.
#[derive(Deserialize)]
struct StoredMissing {
    missing: Option<Missing>,
}

/// Returns the text to store in a row.
fn stored(arrival: &Arrival) -> sqlx::Result<String> {
    let Arrival { event, missing, .. } = arrival;
    serde_json::to_string(&StoredEvent { event, missing })
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Parses the event of a row, and why it has no data.
pub(super) fn read(row: &str) -> serde_json::Result<(Received, Option<Missing>)> {
    let StoredMissing { missing } = serde_json::from_str(row)?;
    Ok((serde_json::from_str(row)?, missing))
}

/// Parks an event that has failed or, without a failure, one that waits for a failed event.
pub(super) async fn park<B: Backend>(
    tx: &mut Transaction<'_, B>,
    subscription: &str,
    arrival: &Arrival,
    failure: Option<&EffectError>,
) -> sqlx::Result<()> {
    let event = &arrival.event;
    let reason = failure.map(describe);
    let parking = Parking {
        event_id: &event.id,
        partition: partition_of(&event.subject),
        subject: &event.subject,
        event_type: event.event_type.as_deref(),
        sequence: event.sequence,
        event: stored(arrival)?,
        reason: reason.as_deref(),
        retry_in: failure.and_then(|failure| retry_in(failure, 1)),
    };
    B::park(tx, subscription, &parking).await
}

/// Replaces the data of the parked events of `by`'s subject with that of `by`. Failed events become
/// due again: the reason of the failure may have been in the data, or quote it. Events that were skipped are not kept for
/// an undo any longer, since that is a copy of the data.
pub(super) async fn erase_parked<B: Backend>(
    tx: &mut Transaction<'_, B>,
    subscription: &str,
    by: &Received,
) -> sqlx::Result<()> {
    let reason = sanitize(&format!("its data was erased by event {}", by.id));
    B::end_undo_before(tx, subscription, &by.subject, None).await?;
    let mut after = 0;
    loop {
        let page = B::parked_of(tx, subscription, &by.subject, after, PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        for (_, event_id, event) in page {
            Mark::ParkedErased.reached();
            // An unreadable event has no sequence, type or time to keep.
            let event = serde_json::from_str(&event).unwrap_or_else(|_| by.clone());
            let event = Received {
                data: by.data.clone(),
                ..event
            };
            let event = serde_json::to_string(&event)
                .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
            B::replace_parked(tx, subscription, &event_id, &event, &reason).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Span;

    /// A row of the previous version.
    const OLD: &str = "{\"id\":\"e\",\"event_type\":null,\"subject\":\"order/1\",\"sequence\":7,\
                       \"time\":\"2026-05-01T00:00:00Z\",\"data\":\"\",\"traceparent\":null}";

    #[test]
    fn versions_read_each_others_rows() {
        let (event, missing) = read(OLD).expect("an old row");
        assert_eq!((event.sequence, missing.is_none()), (Some(7), true));
        let arrival = |missing| Arrival {
            event: event.clone(),
            missing,
            span: Span::none(),
        };
        assert_eq!(stored(&arrival(None)).expect("a row"), OLD);
        let away = Missing {
            src: Some("/events/7".to_owned()),
            media_type: Some("application/json".to_owned()),
            reason: "404".to_owned(),
            passes: true,
        };
        let row = stored(&arrival(Some(away))).expect("a row");
        let before: Received = serde_json::from_str(&row).expect("an event");
        assert_eq!(before, event);
        let (after, missing) = read(&row).expect("a new row");
        assert_eq!(after, event);
        assert_eq!(missing.and_then(|m| m.src).as_deref(), Some("/events/7"));
    }
}
