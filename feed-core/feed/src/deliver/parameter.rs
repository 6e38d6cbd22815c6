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

    /// The same as PostgreSQL takes it: [`Data`](Self::Data) and [`Event`](Self::Event) are converted to jsonb there.
    pub(super) fn postgres_value<'e>(self, event: &'e Received) -> Option<Cow<'e, str>> {
        let value = self.value(event)?;
        Some(match self.postgres_type() {
            "jsonb" => for_jsonb(value),
            _ => value,
        })
    }
}

/// Replaces the escapes in JSON that jsonb refuses by U+FFFD, as the examples do: U+0000, which no text of PostgreSQL can
/// have, and half a surrogate pair, which is no character. JSON has backslashes in strings alone, so no string is
/// looked for. An event that its outbox accepted must not wait for ever (I7).
fn for_jsonb(json: Cow<'_, str>) -> Cow<'_, str> {
    let (mut replaced, mut copied) = (String::new(), 0);
    let mut at = 0;
    while let Some(found) = json[at..].find('\\') {
        let escape = at + found;
        let unit = unit(&json[escape..]);
        at = match unit {
            // Two of them are one character.
            Some(0xd800..=0xdbff) if is_low(&json[escape + UNIT..]) => escape + 2 * UNIT,
            Some(0 | 0xd800..=0xdfff) => {
                replaced.push_str(&json[copied..escape]);
                replaced.push_str("\\ufffd");
                copied = escape + UNIT;
                copied
            }
            Some(_) => escape + UNIT,
            // What follows is part of the escape, as in `\\u0000`, which is a backslash and letters.
            None => {
                let escaped = json[escape + 1..].chars().next();
                escape + 1 + escaped.map_or(0, char::len_utf8)
            }
        };
    }
    if copied == 0 {
        return json;
    }
    replaced.push_str(&json[copied..]);
    replaced.into()
}

/// The bytes of an escape such as `\u0000`.
const UNIT: usize = 6;

/// Returns the UTF-16 code unit that is escaped at the begin of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Returns true if `text` begins with the second half of a surrogate pair.
fn is_low(text: &str) -> bool {
    matches!(unit(text), Some(0xdc00..=0xdfff))
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
    fn what_jsonb_refuses_is_replaced_in_jsonb_alone() {
        for (json, expected) in [
            (r#""a\u0000b\u0000""#, r#""a\ufffdb\ufffd""#),
            (r#"{"\u0000":"\\\u0000"}"#, r#"{"\ufffd":"\\\ufffd"}"#),
            (r#""\\u0000""#, r#""\\u0000""#),
            (r#""\u00000\u0001""#, r#""\ufffd0\u0001""#),
            (
                r#""\ud83d\ude00\uD83D\uDE00""#,
                r#""\ud83d\ude00\uD83D\uDE00""#,
            ),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d\u0000""#, r#""\ufffd\ufffd\ufffd""#),
            (r#""\ud83d\n\"\/""#, r#""\ufffd\n\"\/""#),
            // What is no JSON is refused as it is.
            (r"\é \u00é \u00", r"\é \u00é \u00"),
            ("\\", "\\"),
        ] {
            assert_eq!(for_jsonb(json.into()), expected, "{json}");
        }
        let nul = event(r#""a\u0000b""#);
        let value = |parameter: Parameter| parameter.postgres_value(&nul).map(Cow::into_owned);
        assert_eq!(value(Parameter::Text), Some(nul.data.clone()));
        assert_eq!(value(Parameter::Data).as_deref(), Some(r#""a\ufffdb""#));
        let whole = value(Parameter::Event).expect("an event");
        assert!(whole.contains(r#""data":"a\ufffdb""#), "{whole}");
        assert_eq!(
            Parameter::Data.value(&nul).as_deref(),
            Some(r#""a\u0000b""#)
        );
        // Text that is no JSON is a string of the event.
        let no_json = event("a\0b");
        let text = Parameter::Event.postgres_value(&no_json);
        assert!(text.expect("an event").contains(r#""data":"a\ufffdb""#));
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
