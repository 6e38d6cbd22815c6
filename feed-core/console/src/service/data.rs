//! Reading the data of events. Its errors name the field and quote no value, since they go to the log.

use std::fmt::Display;

use feed_core::consumer::without_value;
use feed_core::{Batch, EffectError, Received};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

/// Why a service cannot use the data of an event. The event is parked for that reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

impl Unfit {
    /// Something is wrong with the value of a field, such as `orderLine[2].count`.
    #[must_use]
    pub fn field(field: impl Display, wrong: impl Display) -> Self {
        Self(format!("{field}: {wrong}"))
    }
}

impl From<Unfit> for EffectError {
    fn from(Unfit(reason): Unfit) -> Self {
        Self::Park(reason)
    }
}

/// Reads the data of an event. `what` names it in the error: `order`.
///
/// # Errors
///
/// The data is no JSON, or does not have the form of `T`.
pub fn read<T: DeserializeOwned>(what: &str, data: &str) -> Result<T, Unfit> {
    serde_json::from_str(data)
        .map_err(|error| Unfit(format!("the data is no {what}: {}", without_value(&error))))
}

/// Reads all events of a batch before anything is written. Those for which `read` returns `None` are of a type that
/// the service does not know, and are passed over.
///
/// # Errors
///
/// The data of an event is unfit.
pub fn read_all<'a, T>(
    events: &'a Batch<'_>,
    read: impl Fn(&Received) -> Result<Option<T>, Unfit>,
) -> Result<Vec<(&'a Received, T)>, EffectError> {
    let mut known = Vec::with_capacity(events.len());
    for event in events {
        match read(event)? {
            Some(fact) => known.push((event, fact)),
            None => {
                let other = event.event_type.as_deref().unwrap_or("none");
                let reason = format!("an event of type {other}, which is unknown here");
                events.pass_over(event, reason);
            }
        }
    }
    Ok(known)
}

/// Checks that both databases can store a text: PostgreSQL stores no NUL. SQLite would, but both behave alike.
///
/// # Errors
///
/// The text has a NUL character.
pub fn check_text(field: impl Display, text: &str) -> Result<(), Unfit> {
    match text.contains('\0') {
        true => Err(Unfit::field(field, "it has a NUL character")),
        false => Ok(()),
    }
}

/// Deserializes a text that may be missing, but not `null`.
///
/// # Errors
///
/// The value is no text.
pub fn unless_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// The texts of these fields. Either all are there, or none: then they are empty, as those of a person who is erased.
///
/// # Errors
///
/// Only some are there.
pub fn all_or_none<const N: usize>(
    fields: [(&str, Option<String>); N],
) -> Result<[String; N], String> {
    let erased = fields.iter().all(|(_, text)| text.is_none());
    let missing = fields.iter().find(|(_, text)| text.is_none());
    match missing {
        Some((name, _)) if !erased => Err(format!("missing field `{name}`")),
        _ => Ok(fields.map(|(_, text)| text.unwrap_or_default())),
    }
}
