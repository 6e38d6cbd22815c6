//! A reader's position in a feed, and whether a document continues from it.

use crate::consumer::source::content::Arrival;
use crate::consumer::source::document::Document;
use crate::consumer::source::entry::event_id;
use crate::cursor::Cursor;
use crate::event::Sequence;
use crate::store::consume::Position;

/// A stored position of which no cursor can be made: earlier versions took events with any id.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored cursor cannot be read: it is at event {sequence} of epoch {epoch:?}, whose id is {anchor:?} and \
     must be urn:uuid: and a UUID"
)]
pub(crate) struct InvalidPosition {
    epoch: String,
    sequence: Sequence,
    anchor: String,
}

/// Returns the position after all of `document` for a reader that was at `seen`.
pub(crate) fn position_after(seen: &Position, document: &Document, end: &Cursor) -> Position {
    let newest = document.entries.last();
    // The head's tag belongs to its newest event: it is valid as long as the position is there.
    let same = end.sequence == seen.sequence && seen.epoch.is_some();
    let validators = seen.clone();
    Position {
        epoch: Some(end.epoch.to_string()),
        sequence: end.sequence,
        anchor: match newest {
            Some(entry) if entry.sequence == Some(end.sequence) => Some(entry.id.clone()),
            // The last event is left out.
            _ if end.sequence > seen.sequence => end.anchor.map(|id| id.urn()),
            _ => seen.anchor.clone(),
        },
        updated: newest.map_or(seen.updated, |entry| Some(entry.updated)),
        etag: validators.etag.filter(|_| same),
        last_modified: validators.last_modified.filter(|_| same),
    }
}

/// Returns why `document` does not continue from `from` without a gap, if it does not. Entries that
/// are not new must equal what was seen.
pub(crate) fn discontinuity(from: &Position, document: &Document, end: &Cursor) -> Option<String> {
    let first = document.first().unwrap_or(end.sequence.saturating_add(1));
    let anchor = document.at(from.sequence).map(|entry| &entry.id);
    let epoch = from.epoch.as_deref().unwrap_or(end.epoch.as_str());
    if epoch != end.epoch.as_str() {
        return Some(format!(
            "the feed is another one: its epoch is {}, ours was {epoch}",
            end.epoch
        ));
    }
    if anchor.is_some_and(|anchor| Some(anchor) != from.anchor.as_ref()) {
        return Some(format!(
            "feed history diverged at event {}: it is not the one that was taken",
            from.sequence
        ));
    }
    if first > from.sequence.saturating_add(1) || end.sequence < from.sequence {
        return Some(format!(
            "the feed does not continue from the cursor: it is at {}, and the feed returned {first} to {}",
            from.sequence, end.sequence
        ));
    }
    None
}

/// Converts a position to a cursor; `None` before the first event.
pub(crate) fn cursor_at(position: &Position) -> Result<Option<Cursor>, InvalidPosition> {
    let Some(epoch) = &position.epoch else {
        return Ok(None);
    };
    let cursor = epoch.parse().ok().and_then(|epoch| {
        let anchor = match position.sequence {
            0 => None,
            _ => Some(event_id(position.anchor.as_deref()?)?),
        };
        Some(Cursor {
            epoch,
            sequence: position.sequence,
            anchor,
        })
    });
    cursor.map(Some).ok_or_else(|| InvalidPosition {
        epoch: epoch.clone(),
        sequence: position.sequence,
        anchor: position.anchor.clone().unwrap_or_default(),
    })
}

/// Returns true if a partition at `from` moves on the way to `to`. A partition that is ahead stays,
/// since no event is new to it. Without sequences only the claims decide.
pub(crate) fn moves(from: &Position, to: &Position) -> bool {
    from.sequence < to.sequence
        || from.sequence == to.sequence && (to.epoch.is_none() || from != to)
}

/// Returns the position of the last event of `chunk`, on the way to `to`. Without sequences there is no
/// position in between: the claims record what is done, and partitions stay where they are.
pub(crate) fn position_at(chunk: &[Arrival], to: &Position) -> Position {
    let Some((event, sequence)) = chunk
        .last()
        .and_then(|arrival| Some((&arrival.event, arrival.event.sequence?)))
    else {
        return Position::default();
    };
    Position {
        epoch: to.epoch.clone(),
        sequence,
        anchor: Some(event.id.clone()),
        updated: Some(event.time),
        etag: None,
        last_modified: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::source::document::tests::{numbered, read};

    fn document(first: i64, last: i64) -> (Document, Cursor) {
        let document = read(&numbered(first, last, "")).expect("a document");
        let end = document.cursor.clone().expect("a cursor");
        (document, end)
    }

    /// A position after this sequence.
    fn at(sequence: i64) -> Position {
        let (document, end) = document(sequence.max(1), sequence.max(1));
        match sequence {
            0 => Position::default(),
            _ => position_after(&Position::default(), &document, &end),
        }
    }

    #[test]
    fn a_document_continues_from_the_cursor_or_does_not() {
        for (sequence, first, last, goes_on) in [
            (0, 1, 3, true),
            (0, 2, 3, false),
            (3, 4, 5, true),
            // The document repeats known events.
            (3, 1, 5, true),
            (3, 1, 3, true),
            // A gap, and an end before the position.
            (3, 5, 6, false),
            (3, 1, 2, false),
        ] {
            let (document, end) = document(first, last);
            let reason = discontinuity(&at(sequence), &document, &end);
            assert_eq!(reason.is_none(), goes_on, "{sequence}: {first} to {last}");
        }
        let (document, end) = document(1, 3);
        for other in [
            Position {
                anchor: Some("urn:uuid:another".to_owned()),
                ..at(3)
            },
            Position {
                epoch: Some("bbcdefgh".to_owned()),
                ..at(3)
            },
        ] {
            assert!(discontinuity(&other, &document, &end).is_some());
        }
    }

    #[test]
    fn validators_hold_as_long_as_nothing_is_newer() {
        let (document, end) = document(1, 3);
        let tagged = |position| Position {
            etag: Some("tag".to_owned()),
            ..position
        };
        let same = position_after(&tagged(at(3)), &document, &end);
        assert_eq!(same.etag.as_deref(), Some("tag"));
        let newer = position_after(&tagged(at(2)), &document, &end);
        assert_eq!((newer.sequence, newer.etag), (3, None));
    }

    #[test]
    fn a_cursor_is_made_of_what_is_stored() {
        assert!(matches!(cursor_at(&Position::default()), Ok(None)));
        let cursor = cursor_at(&at(3)).expect("a cursor").expect("an event");
        assert_eq!((Some(cursor), 3), (document(3, 3).0.cursor, 3));
        for anchor in [None, Some("3".to_owned())] {
            let broken = Position { anchor, ..at(3) };
            assert!(cursor_at(&broken).is_err());
        }
    }

    #[test]
    fn a_partition_moves_unless_it_is_ahead() {
        assert!(moves(&at(2), &at(3)));
        assert!(!moves(&at(3), &at(3)) && !moves(&at(4), &at(3)));
        let tagged = Position {
            etag: Some("tag".to_owned()),
            ..at(3)
        };
        assert!(moves(&at(3), &tagged), "the tag must be stored");
        // Without sequences only the claims decide.
        assert!(moves(&at(0), &at(0)));
    }
}
