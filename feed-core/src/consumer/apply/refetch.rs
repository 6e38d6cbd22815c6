//! Fetches the data of parked events again. What takes long is fetched beside the rounds: no other event waits for it (I7).

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::retry::Attempted;
use crate::consumer::source::content::{Content, Missing, content_again};
use crate::consumer::source::fetch::Source;
use crate::store::consume::Held;

/// How long a round waits for data.
const IN_ROUND: Duration = Duration::from_secs(1);

/// Data that was fetched again for an event, or why it is missing still.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) partition: i64,
    pub(super) subject: String,
    pub(super) of: Attempted,
    pub(super) content: Result<Content, Missing>,
}

/// The fetch in progress: one at a time, since each may bring as much as any answer (I11).
#[derive(Debug, Default)]
pub(crate) struct Refetch(JoinSet<Fetched>);

impl Refetch {
    /// Fetches the data of an event. `None` if it takes long, or while that of another event is fetched: a later round finds
    /// the event due again.
    pub(super) async fn fetch(
        &mut self,
        source: &Source,
        held: &Held,
        subject: &str,
        of: Attempted,
        src: String,
        media_type: Option<String>,
    ) -> Option<Fetched> {
        if !self.0.is_empty() {
            return None;
        }
        let (source, partition, subject) = (source.clone(), held.partition, subject.to_owned());
        self.0.spawn(async move {
            Fetched {
                partition,
                subject,
                of,
                content: content_again(&source, &src, media_type.as_deref()).await,
            }
        });
        let fetched = timeout(IN_ROUND, self.0.join_next()).await;
        fetched.ok().flatten().and_then(ended)
    }

    /// Returns what was fetched since the last round.
    pub(super) fn finished(&mut self) -> Option<Fetched> {
        self.0.try_join_next().and_then(ended)
    }
}

fn ended(fetched: Result<Fetched, JoinError>) -> Option<Fetched> {
    match fetched.map_err(JoinError::try_into_panic) {
        Ok(fetched) => Some(fetched),
        Err(Ok(panic)) => resume_unwind(panic),
        // The end of the runtime.
        Err(Err(_)) => None,
    }
}
