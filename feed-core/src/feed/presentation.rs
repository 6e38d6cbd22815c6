//! What documents contain beside events: addresses below `BASE_URL`, titles, pages for people, and
//! the way in which this version of the program writes them. It determines the bytes of a document
//! as much as the events do, so the head's validators cover it too.

use chrono::DateTime;

use super::body::Coding;
use super::documents::Documents;
use super::form::Form;
use crate::cursor::Cursor;
use crate::event::{Entry, EventId};
use crate::http::conditional::digest;
use crate::store::publish::Head;

/// Digests of a document with fixed events: equal for instances of one version with the same
/// settings, and for no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Presentation {
    atom: u64,
    html: u64,
    /// Both in one number, for storage.
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
            presented: None,
            revision: 0,
        };
        let entries = [Entry {
            id: no_id,
            sequence: head.sequence,
            event_type: "type".to_owned(),
            subject: "subject".to_owned(),
            time: DateTime::UNIX_EPOCH,
            updated: DateTime::UNIX_EPOCH,
            title: "title".to_owned(),
            summary: "summary".to_owned(),
            link: "link".to_owned(),
        }];
        let links = documents.head_links(&head, 1..=head.sequence);
        let document = documents.document(&head, head.cursor(), links, &entries);
        let of = |form: Form| {
            let (bytes, _) = documents.write(form, &document).coded(Coding::Identity);
            digest(&[&bytes])
        };
        let (atom, html) = (of(Form::Atom), of(Form::Html));
        Self {
            atom,
            html,
            number: digest(&[&atom.to_be_bytes(), &html.to_be_bytes()]).cast_signed(),
        }
    }

    /// Returns the entity tag of `head` in that form. Each correction of a published event changes
    /// it.
    pub(super) fn tag(self, form: Form, head: &Head) -> String {
        let (cursor, revision) = (head.cursor(), head.revision.cast_unsigned());
        match form {
            Form::Atom => format!("{cursor}-{:016x}", self.atom.wrapping_add(revision)),
            Form::Html => format!("{cursor}.html-{:016x}", self.html.wrapping_add(revision)),
        }
    }
}

/// Returns the cursor in a tag of a head as Atom, of any instance and version.
pub(super) fn cursor_in(tag: &str) -> Option<Cursor> {
    let (cursor, _) = tag.split_once('-').unwrap_or((tag, ""));
    cursor.parse().ok()
}
