//! The ways through a feed that a comparison takes.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use tracing::warn;
use url::Url;

use super::ReconcileError;
use crate::consumer::source::document::Document;
use crate::consumer::source::fetch::{FetchError, Source};
use crate::cursor::Cursor;
use crate::event::Sequence;

/// Documents of a walk through a feed without numbers (I11).
const DOCUMENTS: usize = 1_000;

/// How often we ask where an answer fails for reasons that pass, or is late, and the pause in
/// between: a walk takes thousands of requests, and one instance of the feed may know of an event
/// a second after another one.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);

/// Asks again where it may help.
pub(super) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, FetchError>
where
    F: Future<Output = Result<T, FetchError>>,
{
    let mut attempts = 1;
    loop {
        match ask().await {
            Err(error) if attempts < ATTEMPTS && passes(&error) => {
                warn!(error = &error as &dyn std::error::Error, "asking again");
                tokio::time::sleep(PAUSE * attempts).await;
                attempts += 1;
            }
            answer => return answer,
        }
    }
}

fn passes(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable { .. } | FetchError::Late { .. } => true,
        FetchError::Status { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}

/// The way forward from the first event of a feed that numbers them.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    source: &'a Source,
    /// The epoch that it must have.
    epoch: &'a str,
    /// The last event that was read.
    pub(super) sequence: Sequence,
    cursor: Option<Cursor>,
    /// The page that comes next, if there is one.
    page: Option<Url>,
}

impl<'a> Forward<'a> {
    pub(super) fn new(source: &'a Source, epoch: &'a str) -> Self {
        Self {
            source,
            epoch,
            sequence: 0,
            cursor: None,
            page: None,
        }
    }

    /// The next document with something new, and the last event before that; `None` once `to` was
    /// read.
    pub(super) async fn next(
        &mut self,
        to: Sequence,
    ) -> Result<Option<(Document, Sequence)>, ReconcileError> {
        for _ in 0..ATTEMPTS {
            if self.sequence >= to {
                return Ok(None);
            }
            let before = self.sequence;
            let document = self.step().await?;
            if self.sequence > before {
                return Ok(Some((document, before)));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(ReconcileError::TooShort {
            ends: self.sequence,
            taken: to,
        })
    }

    async fn step(&mut self) -> Result<Document, ReconcileError> {
        let source = self.source;
        let document = match self.page.take() {
            Some(page) => patiently(|| source.document(page.clone())).await?,
            None => patiently(|| source.after(self.cursor.as_ref())).await?,
        };
        let Some(end) = document.cursor.clone() else {
            return Err(ReconcileError::NotSequenced(document.address().clone()));
        };
        if end.epoch.as_str() != self.epoch {
            return Err(ReconcileError::OtherEpoch {
                ours: self.epoch.to_owned(),
                found: end.epoch.to_string(),
            });
        }
        let (at, last) = (self.sequence, end.sequence);
        let first = document.first().unwrap_or(last.saturating_add(1));
        if first > at + 1 || last < at {
            return Err(ReconcileError::Hole { at, first, last });
        }
        self.page = document
            .link("next-archive", None)
            .map_err(FetchError::from)?;
        self.sequence = last;
        self.cursor = Some(end);
        Ok(document)
    }
}

/// The way back through a feed that numbers nothing, from its head.
#[derive(Debug)]
pub(super) struct Back<'a> {
    source: &'a Source,
    head: Option<Document>,
    older: Option<Url>,
    documents: usize,
    /// The entries that were there: what comes again is an older version.
    seen: HashSet<String>,
}

impl<'a> Back<'a> {
    pub(super) fn new(source: &'a Source, head: Document) -> Self {
        Self {
            source,
            head: Some(head),
            older: None,
            documents: 0,
            seen: HashSet::new(),
        }
    }

    /// The next document, and which of its entries are new.
    pub(super) async fn next(&mut self) -> Result<Option<(Document, Vec<usize>)>, ReconcileError> {
        let document = match (self.head.take(), self.older.take()) {
            (Some(head), _) => head,
            (None, Some(older)) => patiently(|| self.source.document(older.clone())).await?,
            (None, None) => return Ok(None),
        };
        self.documents += 1;
        self.older = document.older().map_err(FetchError::from)?;
        if self.older.is_some() && self.documents >= DOCUMENTS {
            return Err(ReconcileError::TooLong {
                documents: DOCUMENTS,
            });
        }
        // Of two with one id in a document the newer one comes last.
        let mut new: Vec<usize> = (0..document.entries.len())
            .rev()
            .filter(|index| self.seen.insert(document.entries[*index].id.clone()))
            .collect();
        new.reverse();
        Ok(Some((document, new)))
    }
}
