//! An event on its way through a broker: what the feed's entry has, as JSON. The order's document is
//! in it as it is, not as a text in a text.

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use feed_core::Received;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Serialize, Deserialize)]
struct Message {
    id: String,
    #[serde(rename = "type")]
    event_type: Option<String>,
    subject: String,
    time: DateTime<Utc>,
    data: Box<RawValue>,
}

pub(super) fn write(event: Received) -> Result<Bytes> {
    let message = Message {
        id: event.id,
        event_type: event.event_type,
        subject: event.subject,
        time: event.time,
        data: RawValue::from_string(event.data)?,
    };
    Ok(serde_json::to_vec(&message)?.into())
}

pub(super) fn read(bytes: &[u8]) -> Result<Received> {
    let message: Message = serde_json::from_slice(bytes).context("a message is no event")?;
    Ok(Received {
        id: message.id,
        event_type: message.event_type,
        subject: message.subject,
        sequence: None,
        time: message.time,
        data: Box::<str>::from(message.data).into_string(),
        traceparent: None,
    })
}
