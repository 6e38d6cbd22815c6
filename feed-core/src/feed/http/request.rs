//! Reads a request: its path, its parameters, and the head that it needs.

use axum::extract::rejection::PathRejection;

use crate::cursor::Epoch;
use crate::event::LAST_SEQUENCE;
use crate::feed::Inner;
use crate::http::{Problem, canonical_number};
use crate::reached::Mark;
use crate::sequencer::Access;
use crate::store::Backend;
use crate::store::publish::Head;

impl<B: Backend> Inner<B> {
    /// Returns the head; reads it from the database if `known` is false for the head in memory: the
    /// reader may have learnt of newer events from another instance.
    pub(super) async fn head_where(&self, known: impl Fn(&Head) -> bool) -> Result<Head, Problem> {
        let head = self.sequencer.head();
        if known(&head) {
            return Ok(head);
        }
        Mark::ReaderAhead.reached();
        let head = self.sequencer.refresh().await?.head;
        match self.access == Access::Read && !known(&head) {
            true => Err(not_yet()),
            false => Ok(head),
        }
    }
}

/// A copy that follows another server does not know yet what a reader has seen elsewhere.
pub(super) fn not_yet() -> Problem {
    Problem::unavailable(
        "this copy of the feed does not have the events yet that you have seen elsewhere",
    )
}

/// Parses the number of an event or a page.
pub(super) fn canonical(text: &str) -> Option<i64> {
    canonical_number(text).filter(|number| (1..=LAST_SEQUENCE).contains(number))
}

pub(super) fn another_epoch(epoch: &Epoch, head: &Head) -> Problem {
    Problem::not_found(format!(
        "this feed is of epoch {}, not {epoch}: it is another history",
        head.epoch
    ))
}

/// A path that is not UTF-8 names no resource.
pub(super) fn unreadable_path(_: PathRejection) -> Problem {
    Problem::not_found("there is nothing under such a name")
}
