//! Prefetches the documents of a walk forward, and the data of wanted events, in a task of its own
//! while earlier ones are applied. Only a few are in memory (I11).

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::content::{Arrival, TOGETHER, arrivals};
use super::document::Document;
use super::entry::{FoundEntry, event_id};
use super::walk::{Walk, WalkError};
use crate::cursor::Cursor;

/// Prefetched documents; one more is being fetched.
const WAITING: usize = 2;

/// The bytes of prefetched data, with those that are being applied. A step that has more takes all of the room.
const ROOM: usize = TOGETHER;

/// A prefetched document, with the data of the events that were wanted at that time.
pub(crate) struct Step {
    pub(crate) document: Document,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) end: Cursor,
    /// False if it is only the first part of the document, since all of it would be too large.
    pub(crate) whole: bool,
}

/// The documents of a walk. Dropping it stops the fetching.
pub(crate) struct Prefetch {
    steps: mpsc::Receiver<Result<(Step, OwnedSemaphorePermit), WalkError>>,
    /// The room of the last step.
    applied: Option<OwnedSemaphorePermit>,
    fetching: JoinHandle<()>,
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.fetching.abort();
    }
}

impl Prefetch {
    /// Prefetches at most so many documents.
    pub(crate) fn start(
        mut walk: Walk,
        documents: usize,
        wanted: impl Fn(&FoundEntry) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (sender, steps) = mpsc::channel(WAITING);
        let room = Arc::new(Semaphore::new(ROOM));
        let fetching = tokio::spawn(async move {
            for _ in 0..documents {
                let step = step(&mut walk, &wanted).await.transpose();
                let Some(step) = step else { return };
                let step = match step {
                    Ok(step) => {
                        let bytes = u32::try_from(step.bytes().min(ROOM)).unwrap_or(u32::MAX);
                        let room = Arc::clone(&room).acquire_many_owned(bytes).await;
                        let Ok(room) = room else { return };
                        Ok((step, room))
                    }
                    Err(error) => Err(error),
                };
                let failed = step.is_err();
                if sender.send(step).await.is_err() || failed {
                    return;
                }
            }
        });
        Self {
            steps,
            applied: None,
            fetching,
        }
    }

    /// Returns the next document; `None` after the last one, which ends it. Frees the room of the one before.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, WalkError> {
        self.applied = None;
        let Some(step) = self.steps.recv().await else {
            // A panic must not look like the end of the feed.
            return match (&mut self.fetching).await {
                Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
                _ => Ok(None),
            };
        };
        let (step, room) = step?;
        self.applied = Some(room);
        Ok(Some(step))
    }
}

impl Step {
    /// Returns the approximate size in memory.
    fn bytes(&self) -> usize {
        let data = self.arrivals.iter().map(|arrival| arrival.event.data.len());
        self.document.size + data.sum::<usize>()
    }
}

/// Fetches a document and the data of its events that are wanted and new.
async fn step(
    walk: &mut Walk,
    wanted: &(impl Fn(&FoundEntry) -> bool + Sync),
) -> Result<Option<Step>, WalkError> {
    let seen = walk.sequence();
    let Some(mut document) = walk.next().await? else {
        return Ok(None);
    };
    let Some(mut end) = document.cursor.clone() else {
        return Err(WalkError::NotSequenced(document.address().clone()));
    };
    let entries = document.entries.iter();
    let new: Vec<&FoundEntry> = entries
        .filter(|entry| entry.sequence > Some(seen) && wanted(entry))
        .collect();
    let arrivals = arrivals(walk.source(), &document, &new).await?;
    let whole = arrivals.len() == new.len();
    match arrivals.last() {
        Some(last) if !whole => {
            end.sequence = last.event.sequence.unwrap_or(end.sequence);
            end.anchor = event_id(&last.event.id);
            document.end_at(&end);
            walk.continue_after(end.clone());
        }
        // Check the link before any event of this document is applied.
        _ => walk.check_link()?,
    }
    // The arrivals have what is wanted of it.
    for entry in &mut document.entries {
        entry.content = None;
    }
    Ok(Some(Step {
        document,
        arrivals,
        end,
        whole,
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consumer::source::document::tests::{numbered, read};
    use crate::consumer::source::fetch::Source;
    use crate::consumer::source::walk::Limits;
    use crate::consumer::source::walk::tests::{page, serve};
    use crate::consumer::subscription::Subscription;

    #[tokio::test]
    async fn a_panic_is_not_the_end_of_the_feed() {
        let document = read(&numbered(1, 2, "")).expect("a document");
        let source = Source::new(&Subscription::new("order", document.address().clone()));
        let limits = Limits {
            documents: 3,
            bytes: 10_000,
        };
        let walk = Walk::back(&source, document, limits);
        let mut steps = Prefetch::start(walk, 3, |_| panic!("attempt to divide by zero"));
        let next = tokio::spawn(async move { steps.next().await.map(|step| step.is_some()) });
        let ended = next.await.expect_err("a panic");
        assert!(ended.is_panic(), "{ended:?}");
    }

    #[tokio::test]
    async fn what_is_large_waits_until_the_document_before_is_applied() {
        let large = format!("<!-- {} -->", "y".repeat(ROOM / 2));
        let large = |n: i64, next| page(n, n, next) + &large;
        let source = serve(&[
            ("/feed?after=start", large(1, Some("/2"))),
            ("/2", large(2, Some("/3"))),
            ("/3", large(3, None)),
        ])
        .await;
        let mut steps = Prefetch::start(Walk::forward(&source, None), 3, |_| true);
        for n in 1..=3 {
            let step = steps.next().await.expect("an answer").expect("a document");
            assert_eq!(step.end.sequence, n);
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(steps.steps.is_empty(), "a step was put beside {n}");
        }
    }
}
