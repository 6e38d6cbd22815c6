//! The parameters of SQL, and their values for an event.

use std::borrow::Cow;

use chrono::SecondsFormat;
use feed_core::Received;
use serde::Serialize;
use serde_json::value::RawValue;

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Id,
    Type,
    Subject,
    Sequence,
    Time,
    Data,
    Text,
    Event,
}

/// The names, as they are written after the colon, and their types on PostgreSQL.
const NAMES: [(&str, Parameter, &str); 8] = [
    ("id", Parameter::Id, "text"),
    ("type", Parameter::Type, "text"),
    ("subject", Parameter::Subject, "text"),
    ("sequence", Parameter::Sequence, "bigint"),
    ("time", Parameter::Time, "timestamptz"),
    ("data", Parameter::Data, "jsonb"),
    ("text", Parameter::Text, "text"),
    ("event", Parameter::Event, "jsonb"),
];

impl Parameter {
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = NAMES.iter().find(|(known, ..)| *known == name);
        known.map(|(_, parameter, _)| *parameter)
    }

    /// Returns all names, for messages.
    pub(super) fn names() -> String {
        NAMES.map(|(name, ..)| format!(":{name}")).join(", ")
    }

    /// Returns the type that PostgreSQL converts the value to.
    pub(super) fn postgres_type(self) -> &'static str {
        let known = NAMES.iter().find(|(_, parameter, _)| *parameter == self);
        known.map_or("text", |(.., name)| name)
    }

    /// Returns its value for `event`, as text; `None` for what the feed does not say.
    pub(super) fn value<'e>(self, event: &'e Received) -> Option<Cow<'e, str>> {
        let value = match self {
            Self::Id => bare_id(event).into(),
            Self::Type => event.event_type.as_deref()?.into(),
            Self::Subject => event.subject.as_str().into(),
            Self::Sequence => event.sequence?.to_string().into(),
            Self::Time => time(event).into(),
            Self::Data | Self::Text => event.data.as_str().into(),
            Self::Event => as_json(event).into(),
        };
        Some(value)
    }
}

/// Returns the event's id in the form of CloudEvents and of UUID columns.
fn bare_id(event: &Received) -> &str {
    event.id.strip_prefix("urn:uuid:").unwrap_or(&event.id)
}

fn time(event: &Received) -> String {
    event.time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An event in the JSON format of CloudEvents 1.0. What the feed does not say is left out.
#[derive(Serialize)]
struct EventAsJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    specversion: Option<&'static str>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Sequence>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'static str>,
    data: Data<'a>,
}

/// A sequence: as a number for SQL, and as the text that the CloudEvents extension demands.
#[derive(Serialize)]
#[serde(untagged)]
enum Sequence {
    Number(i64),
    Text(String),
}

/// The data as JSON if it is, else as a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl<'a> EventAsJson<'a> {
    fn of(event: &'a Received) -> Self {
        Self {
            specversion: None,
            id: bare_id(event),
            source: None,
            event_type: event.event_type.as_deref(),
            subject: &event.subject,
            sequence: event.sequence.map(Sequence::Number),
            time: time(event),
            traceparent: event.traceparent.as_deref(),
            datacontenttype: None,
            data: serde_json::from_str(&event.data).map_or(Data::Text(&event.data), Data::Json),
        }
    }

    fn text(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns the event as JSON, with the names of CloudEvents.
pub(crate) fn as_json(event: &Received) -> String {
    EventAsJson::of(event).text()
}

/// Returns the id of the event, and the event as a whole CloudEvent. One that its feed gives no type gets one.
pub(super) fn as_cloud_event<'a>(event: &'a Received, source: &str) -> (&'a str, String) {
    let event_type = event.event_type.as_deref().or(Some("entry"));
    let event_as_json = EventAsJson::of(event);
    let is_json = matches!(event_as_json.data, Data::Json(_));
    let whole = EventAsJson {
        specversion: Some("1.0"),
        source: Some(source),
        event_type,
        sequence: (event.sequence).map(|sequence| Sequence::Text(sequence.to_string())),
        datacontenttype: Some(if is_json {
            "application/json"
        } else {
            "text/plain"
        }),
        ..event_as_json
    };
    (bare_id(event), whole.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Received {
        Received {
            id: "urn:uuid:0190b9ab-0000-7000-8000-000000000001".to_owned(),
            event_type: Some("order.placed".to_owned()),
            subject: "order/1".to_owned(),
            sequence: Some(7),
            data: data.to_owned(),
            ..Received::default()
        }
    }

    #[test]
    fn the_data_in_an_event_is_kept_byte_for_byte() {
        let json = as_json(&event("{\"total\": 1.10}"));
        assert_eq!(
            json,
            "{\"id\":\"0190b9ab-0000-7000-8000-000000000001\",\
             \"type\":\"order.placed\",\"subject\":\"order/1\",\"sequence\":7,\
             \"time\":\"1970-01-01T00:00:00.000Z\",\"data\":{\"total\": 1.10}}"
        );
        assert!(as_json(&event("<a/>")).ends_with("\"data\":\"<a/>\"}"));
        let (_, whole) = as_cloud_event(&event("{}"), "http://127.0.0.1/feed");
        assert!(whole.contains("\"sequence\":\"7\""), "{whole}");
        assert!(
            whole.contains("\"datacontenttype\":\"application/json\""),
            "{whole}"
        );
        let nothing = Received::default();
        let (id, whole) = as_cloud_event(&nothing, "http://127.0.0.1/feed");
        assert_eq!(id, "");
        for member in [
            "\"specversion\":\"1.0\"",
            "\"source\":\"http://127.0.0.1/feed\"",
            "\"type\":\"entry\"",
        ] {
            assert!(whole.contains(member), "{whole}");
        }
    }

    #[test]
    fn what_a_feed_does_not_say_is_null() {
        let other = Received {
            id: "tag:example.com,2026:1".to_owned(),
            ..Received::default()
        };
        for (parameter, value) in [
            (Parameter::Id, Some("tag:example.com,2026:1")),
            (Parameter::Type, None),
            (Parameter::Sequence, None),
            (Parameter::Text, Some("")),
        ] {
            assert_eq!(parameter.value(&other).as_deref(), value, "{parameter:?}");
        }
    }
}
