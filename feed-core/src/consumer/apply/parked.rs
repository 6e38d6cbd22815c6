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

/// The stored form.
#[derive(Serialize)]
struct StoredEvent<'a> {
    #[serde(flatten)]
    event: &'a Received,
    #[serde(flatten)]
    notes: &'a Notes,
}

/// What is known of an event beside its own fields, so that older versions of this program can still read the event. It is
/// parsed separately, since flattened fields lose the precision of numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    /// Why it has no data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Missing>,
    /// What has erased its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) erased: Option<Erased>,
}

/// How an event has lost its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Erased {
    /// The event that has erased it.
    pub(super) by: String,
    /// The attempts before: what failed with the data does not count for an attempt without it.
    pub(super) attempts: i64,
}

/// Returns the text to store in a row.
fn stored(event: &Received, notes: &Notes) -> sqlx::Result<String> {
    serde_json::to_string(&StoredEvent { event, notes })
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Parses the event of a row.
pub(super) fn read(row: &str) -> serde_json::Result<(Received, Notes)> {
    Ok((serde_json::from_str(row)?, serde_json::from_str(row)?))
}

/// Parks an event that has failed or, without a failure, one that waits for a failed event.
pub(super) async fn park<B: Backend>(
    tx: &mut Transaction<'_, B>,
    subscription: &str,
    arrival: &Arrival,
    failure: Option<&EffectError>,
) -> sqlx::Result<()> {
    let event = &arrival.event;
    let notes = Notes {
        missing: arrival.missing.clone(),
        erased: None,
    };
    let reason = failure.map(describe);
    let parking = Parking {
        event_id: &event.id,
        partition: partition_of(&event.subject),
        subject: &event.subject,
        event_type: event.event_type.as_deref(),
        sequence: event.sequence,
        event: stored(event, &notes)?,
        reason: reason.as_deref(),
        retry_in: failure.and_then(|failure| retry_in(failure, 1)),
    };
    B::park(tx, subscription, &parking).await
}

/// Replaces the data of the parked events of `by`'s subject with that of `by`; if that could not be read, with none until a
/// retry reads it. Failed events become due again: the reason of the failure may have been in the data, or quote it. Events
/// that were skipped are not kept for an undo any longer, since that is a copy of the data.
pub(super) async fn erase_parked<B: Backend>(
    tx: &mut Transaction<'_, B>,
    subscription: &str,
    by: &Arrival,
) -> sqlx::Result<()> {
    let Arrival {
        event: by, missing, ..
    } = by;
    let reason = sanitize(&format!("its data was erased by event {}", by.id));
    B::end_undo_before(tx, subscription, &by.subject, None).await?;
    let mut after = 0;
    loop {
        let page = B::parked_of(tx, subscription, &by.subject, after, PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        for (_, event_id, attempts, event) in page {
            Mark::ParkedErased.reached();
            // An unreadable event has no sequence, type or time to keep.
            let event = serde_json::from_str(&event).unwrap_or_else(|_| by.clone());
            let event = Received {
                data: by.data.clone(),
                ..event
            };
            let notes = Notes {
                missing: missing.clone(),
                erased: Some(Erased {
                    by: by.id.clone(),
                    attempts,
                }),
            };
            let event = stored(&event, &notes)?;
            B::replace_parked(tx, subscription, &event_id, &event, &reason).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the previous version.
    const OLD: &str = "{\"id\":\"e\",\"event_type\":null,\"subject\":\"order/1\",\"sequence\":7,\
                       \"time\":\"2026-05-01T00:00:00Z\",\"data\":\"\",\"traceparent\":null}";

    #[test]
    fn versions_read_each_others_rows() {
        let (event, notes) = read(OLD).expect("an old row");
        assert_eq!((event.sequence, notes.missing.is_none()), (Some(7), true));
        assert_eq!(stored(&event, &notes).expect("a row"), OLD);
        let notes = Notes {
            missing: Some(Missing {
                src: Some("/events/7".to_owned()),
                media_type: Some("application/json".to_owned()),
                reason: "404".to_owned(),
                passes: true,
            }),
            erased: Some(Erased {
                by: "x".to_owned(),
                attempts: 2,
            }),
        };
        let row = stored(&event, &notes).expect("a row");
        let before: Received = serde_json::from_str(&row).expect("an event");
        assert_eq!(before, event);
        let (after, read) = read(&row).expect("a new row");
        assert_eq!(after, event);
        assert_eq!(
            read.missing.and_then(|m| m.src).as_deref(),
            Some("/events/7")
        );
        assert_eq!(read.erased, notes.erased);
    }
}
