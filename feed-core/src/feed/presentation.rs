//! What documents contain beside events: addresses below `BASE_URL`, titles, pages for people, and
//! the way in which this version of the program writes them. It determines the bytes of a document
//! as much as the events do, so the head's validators cover it too.

use chrono::DateTime;

use super::body::Coding;
use super::documents::Documents;
use super::form::Form;
use crate::cursor::Cursor;
use crate::event::{Entry, Event, EventId};
use crate::http::conditional::digest;
use crate::store::publish::Head;

/// Digests of a document with fixed events: equal for instances of one version with the same
/// settings, and for no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Presentation {
    atom: u64,
    html: u64,
    atom_with_data: u64,
    batch: u64,
    /// All in one number, for storage.
    pub(super) number: i64,
}

impl Presentation {
    pub(super) fn of(documents: &Documents) -> Self {
        let no_id = EventId(uuid::Uuid::nil());
        let head = Head {
            feed_id: no_id,
            epoch: "specimen".parse().expect("eight letters"),
            page_size: 1,
            created: DateTime::UNIX_EPOCH,
            sequence: 3,
            anchor: Some(no_id),
            updated: DateTime::UNIX_EPOCH,
            closed_until: None,
            closed_sequence: 0,
            presentation: None,
            revision: 0,
            read_at: DateTime::UNIX_EPOCH,
        };
        // The types with a schema too: its address is in the documents.
        let types = documents.origin.schemas.keys().map(String::as_str);
        let entry = |event_type: &str| Entry {
            id: no_id,
            sequence: head.sequence,
            event_type: event_type.to_owned(),
            subject: "subject".to_owned(),
            time: DateTime::UNIX_EPOCH,
            updated: DateTime::UNIX_EPOCH,
            title: "title".to_owned(),
            summary: "summary".to_owned(),
            link: "link".to_owned(),
        };
        let entries: Vec<Entry> = types.chain(["type"]).map(entry).collect();
        let event = |entry: &Entry| Event {
            entry: entry.clone(),
            data: "1".to_owned(),
            traceparent: Some("traceparent".to_owned()),
        };
        let events: Vec<Event> = entries.iter().map(event).collect();
        let of = |form: Form| {
            let links = documents.head_links(&head, 1..=head.sequence);
            let (events, entries): (&[_], &[_]) = match form.has_data() {
                true => (&events, &[]),
                false => (&[], &entries),
            };
            let document = documents.document(&head, head.cursor(), links, events, entries);
            let (bytes, _) = documents.write(form, &document).coded(Coding::Identity);
            digest(&[&bytes])
        };
        let (atom, html) = (of(Form::Atom), of(Form::Html));
        let (atom_with_data, batch) = (of(Form::AtomWithData), of(Form::Batch));
        let all = [atom, html, atom_with_data, batch].map(u64::to_be_bytes);
        Self {
            atom,
            html,
            atom_with_data,
            batch,
            number: digest(&[all.as_flattened()]).cast_signed(),
        }
    }

    /// Returns the entity tag of `head` in that form. Each correction of a published event changes
    /// it.
    pub(super) fn tag(self, form: Form, head: &Head) -> String {
        let (cursor, revision) = (head.cursor(), head.revision.cast_unsigned());
        let (view, written) = match form {
            Form::Atom => ("", self.atom),
            Form::Html => (".html", self.html),
            Form::AtomWithData => ("", self.atom_with_data),
            Form::Batch => ("", self.batch),
        };
        format!("{cursor}{view}-{:016x}", written.wrapping_add(revision))
    }
}

/// Returns the cursor in a tag of a head for programs, of any instance and version.
pub(super) fn cursor_in(tag: &str) -> Option<Cursor> {
    let (cursor, _) = tag.split_once('-').unwrap_or((tag, ""));
    cursor.parse().ok()
}
