//! Reads ahead: the documents of a feed and the data of what is ours in them, in a task of its own
//! while those before are applied. Never more than a few are in memory (I11).

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::document::Document;
use super::fetch::{FetchError, Source};
use crate::consumer::apply::batch::Arrival;
use crate::consumer::progress::cursors::Ours;
use crate::consumer::round::catch_up::id_of;
use crate::consumer::round::poll::PollError;
use crate::cursor::Cursor;
use crate::event::Sequence;

/// Documents that wait to be applied; one more is being fetched.
const AHEAD: usize = 2;

/// A document on the way, with the data of the events that were ours when it was fetched.
pub(crate) struct Step {
    pub(crate) document: Document,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) end: Cursor,
    /// False if it is only the first part of what was fetched: all of it would be too much at once.
    pub(crate) whole: bool,
}

/// Where a document is.
enum Next {
    /// At a cursor; `None`: at the first event.
    After(Option<Cursor>),
    /// At a page that follows the one before.
    Page(url::Url),
}

/// The documents from one place on. Nothing more is fetched when it is dropped.
pub(crate) struct Ahead {
    steps: mpsc::Receiver<Result<Step, PollError>>,
    fetching: JoinHandle<()>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.fetching.abort();
    }
}

impl Ahead {
    /// Begins after `cursor` (`None`: with the first event), and reads so many documents at most.
    pub(crate) fn from(
        source: &Source,
        cursor: Option<Cursor>,
        ours: Ours,
        documents: usize,
    ) -> Self {
        let (sender, steps) = mpsc::channel(AHEAD);
        let source = source.clone();
        let fetching = tokio::spawn(async move {
            let mut seen = cursor.as_ref().map_or(0, |cursor| cursor.sequence);
            let mut next = Some(Next::After(cursor));
            for _ in 0..documents {
                let Some(from) = next.take() else { return };
                let step = step(&source, from, &ours, seen).await;
                let step = step.and_then(|step| {
                    seen = step.end.sequence;
                    next = next_of(&step)?;
                    Ok(step)
                });
                if sender.send(step).await.is_err() {
                    return;
                }
            }
        });
        Self { steps, fetching }
    }

    /// The next document; `None` after the last one, which is no page.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, PollError> {
        self.steps.recv().await.transpose()
    }
}

/// Fetches a document and the data of what is ours in it, and comes after `seen`.
async fn step(source: &Source, next: Next, ours: &Ours, seen: Sequence) -> Result<Step, PollError> {
    let mut document = match next {
        Next::After(cursor) => source.after(cursor.as_ref()).await?,
        Next::Page(url) => source.document(url).await?,
    };
    let Some(mut end) = document.cursor.clone() else {
        return Err(PollError::NotSequenced(document.address().clone()));
    };
    let mut new = ours.new_of(&document.entries);
    new.retain(|entry| entry.sequence > Some(seen));
    let arrivals = source.arrivals(&document, &new).await?;
    let whole = arrivals.len() == new.len();
    if let (false, Some(last)) = (whole, arrivals.last()) {
        end.sequence = last.event.sequence.unwrap_or(end.sequence);
        end.anchor = id_of(&last.event.id);
        document.end_at(&end);
    }
    Ok(Step {
        document,
        arrivals,
        end,
        whole,
    })
}

/// Where the events after those of a page are; `None`: it is no page, and there are none.
fn next_of(step: &Step) -> Result<Option<Next>, PollError> {
    if !step.whole {
        return Ok(Some(Next::After(Some(step.end.clone()))));
    }
    if !step.document.archive {
        return Ok(None);
    }
    let link = step.document.link("next-archive", None);
    Ok(Some(match link.map_err(FetchError::from)? {
        Some(url) => Next::Page(url),
        None => Next::After(Some(step.end.clone())),
    }))
}
