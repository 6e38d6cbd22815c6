//! The entries of a document, as text that can be left out, doubled or put in another order.

use serde_json::value::RawValue;

/// A document of our own feed, taken apart.
pub(super) struct Entries {
    before: String,
    /// As the document has them.
    pub(super) all: Vec<String>,
    after: String,
    between: &'static str,
    /// Atom gives the order of entries no meaning (RFC 4287, 4.1.1).
    pub(super) is_atom: bool,
}

impl Entries {
    /// Takes a document apart, if it has entries or may have them.
    pub(super) fn of(media_type: &str, body: &str) -> Option<Self> {
        match media_type.split(';').next()?.trim() {
            "application/atom+xml" => Self::of_atom(body),
            "application/cloudevents-batch+json" => Self::of_batch(body),
            _ => None,
        }
    }

    fn of_atom(body: &str) -> Option<Self> {
        const END: &str = "</entry>";
        let first = body.find("<entry")?;
        let last = body.rfind(END)? + END.len();
        let entries = body[first..last].split_inclusive(END);
        Some(Self {
            before: body[..first].to_owned(),
            all: entries.map(|entry| entry.trim_start().to_owned()).collect(),
            after: body[last..].to_owned(),
            between: "\n",
            is_atom: true,
        })
    }

    fn of_batch(body: &str) -> Option<Self> {
        let events: Vec<&RawValue> = serde_json::from_str(body).ok()?;
        Some(Self {
            before: "[".to_owned(),
            all: events.iter().map(|event| event.get().to_owned()).collect(),
            after: "]".to_owned(),
            between: ",",
            is_atom: false,
        })
    }

    /// Returns true if an entry is that of the event with this id.
    pub(super) fn contain(&self, id: &str) -> bool {
        self.all.iter().any(|entry| entry.contains(id))
    }

    /// Puts the document together again.
    pub(super) fn written(&self) -> String {
        let Self {
            before,
            all,
            after,
            between,
            ..
        } = self;
        format!("{before}{}{after}", all.join(between))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_taken_apart_and_put_together() {
        for (media_type, body, entries) in [
            (
                "application/atom+xml;type=feed",
                "<feed><id/><entry><id>b</id></entry>\n<entry>a</entry></feed>",
                ["<entry><id>b</id></entry>", "<entry>a</entry>"],
            ),
            (
                "application/cloudevents-batch+json",
                r#"[{"id":1.50},{"id":2}]"#,
                [r#"{"id":1.50}"#, r#"{"id":2}"#],
            ),
        ] {
            let parts = Entries::of(media_type, body).unwrap();
            assert_eq!(parts.all, entries);
            assert_eq!(parts.written(), body);
            assert!(parts.contain("id") && !parts.contain("none"));
        }
        assert!(Entries::of("application/atom+xml", "<feed/>").is_none());
        assert!(Entries::of("text/html", "[]").is_none());
    }
}
