//! The compact form in which a reconciliation remembers an event.

use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::consumer::received::Received;
use crate::event::Sequence;

/// Identifies an event in a few bytes: a reconciliation keeps one for each order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    /// 0 if the feed has no sequences: half the size of an `Option`.
    sequence: Sequence,
    id: Id,
    time: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    /// An id in feed-core's form.
    Urn(Uuid),
    Other(Box<str>),
}

impl From<&Received> for Cited {
    fn from(event: &Received) -> Self {
        let uuid = event.id.strip_prefix("urn:uuid:").map(Uuid::try_parse);
        let id = match uuid {
            // A UUID has several spellings; keep only the one that reproduces the id.
            Some(Ok(uuid)) if uuid.urn().to_string() == event.id => Id::Urn(uuid),
            _ => Id::Other(event.id.as_str().into()),
        };
        Self {
            sequence: event.sequence.unwrap_or(0),
            id,
            time: event.time,
        }
    }
}

impl Cited {
    /// Returns when the event happened, in milliseconds, if that is not the `stored` time. An event of a feed without
    /// sequences has no other time: the feed may have edited it since.
    #[must_use]
    pub fn other_time(&self, stored: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let time = self.time.trunc_subsecs(3);
        (self.sequence > 0 && time != stored).then_some(time)
    }

    /// Returns true if the event has this id.
    #[must_use]
    pub fn has_id(&self, id: &str) -> bool {
        match &self.id {
            Id::Urn(uuid) => uuid.urn().to_string() == id,
            Id::Other(own) => **own == *id,
        }
    }
}

/// `event 17 (urn:uuid:…)`
impl fmt::Display for Cited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id: &dyn fmt::Display = match &self.id {
            Id::Urn(uuid) => &uuid.urn(),
            Id::Other(own) => own,
        };
        match self.sequence {
            0 => write!(f, "event {id}"),
            sequence => write!(f, "event {sequence} ({id})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, sequence: Option<Sequence>) -> Received {
        Received {
            id: id.to_owned(),
            event_type: None,
            subject: "order/1".to_owned(),
            sequence,
            time: chrono::DateTime::UNIX_EPOCH,
            data: String::new(),
            traceparent: None,
        }
    }

    #[test]
    fn an_id_is_kept_character_by_character() {
        let urn = "urn:uuid:0192f0c1-e0d0-7b33-a1a2-c3d4e5f60718";
        for id in [urn, &urn.to_uppercase(), &urn.replace('-', ""), "tag:x,1"] {
            let cited = Cited::from(&event(id, Some(17)));
            assert_eq!(cited.to_string(), format!("event 17 ({id})"));
            assert!(cited.has_id(id) && !cited.has_id("tag:x,2"));
        }
        let other = Cited::from(&event("tag:x,1", None));
        assert_eq!(other.to_string(), "event tag:x,1");
        assert_eq!(other.other_time(chrono::Utc::now()), None);
        let cited = Cited::from(&event(urn, None));
        assert!(!cited.has_id(&urn.to_uppercase()));
    }
}
