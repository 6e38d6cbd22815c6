//! Records decisions that an instance executes, and watches until it has. If no instance reports,
//! this process runs one until then.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::words::{WHAT_TO_DO, counted};
use super::{Again, Refused, ResumeFlags, check};
use crate::command::{By, CommandError, Done, print};
use feed_chassis::Progress;
use feed_core::Database;
use feed_core::Sequence;
use feed_core::consumer::{
    Consumer, Decided, Decision, Effect, Handle, ResumeFrom, Status, Subscription,
};
use feed_core::http::with_causes;
use feed_core::{Backend, DatabaseError};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(200);

/// The decisions that are searched for ours: more than are made while one is watched.
const RECENT: u32 = 100;

/// The messages after Ctrl-C, while an instance runs elsewhere, and while this process was the only one.
const STOPPED_WATCHING: &str =
    "stopped watching; the decision is recorded, and the service executes it";
const STOPPED_ITSELF: &str = "stopped, and no other instance runs; the decision is recorded: start the service, which executes \
                              what remains of it, or take the decision back (`undo`) if it is still open (`decisions`)";

impl ResumeFlags {
    /// Returns from where to resume after a halt; `None` to end a pause.
    pub(super) fn from(self) -> Option<ResumeFrom> {
        let Self {
            keep,
            from_start,
            from_now,
        } = self;
        let ways = [
            (keep, ResumeFrom::Kept),
            (from_start, ResumeFrom::Start),
            (from_now, ResumeFrom::Now),
        ];
        ways.into_iter()
            .find_map(|(given, from)| given.then_some(from))
    }
}

/// An instance in this process, started if there is no other one.
pub(super) struct OwnInstance<B: Backend, E> {
    /// The parts of the instance, until it starts.
    parts: Option<(Database<B>, Subscription, E)>,
    running: Option<(JoinHandle<()>, CancellationToken)>,
}

impl<B: Backend, E: Effect<B>> OwnInstance<B, E> {
    pub(super) fn new(database: Database<B>, subscription: Subscription, effect: E) -> Self {
        Self {
            parts: Some((database, subscription, effect)),
            running: None,
        }
    }

    /// Checks that the feed is that of the subscription, if no instance runs: this process would read it. One with
    /// another history halts the subscription, and while none answers, the decision is open and no event is taken.
    fn check(&self, status: &Status) -> Result<(), Refused> {
        match &self.parts {
            Some((_, subscription, _)) if status.instances == 0 => {
                let given = bare(&subscription.feed_url);
                match follows(&given, &status.feed) {
                    true => Ok(()),
                    false => Err(Refused::OtherFeed {
                        given,
                        known: status.feed.clone(),
                    }),
                }
            }
            _ => Ok(()),
        }
    }

    /// Starts it if no instance runs and the feed is that of the subscription.
    async fn start(&mut self, status: &Status) -> Result<(), DatabaseError> {
        if status.instances > 0 || self.check(status).is_err() {
            return Ok(());
        }
        let Some((database, subscription, effect)) = self.parts.take() else {
            return Ok(());
        };
        eprintln!(
            "No instance reports to the database: this command does it itself, and reads {} (FEED_URL).",
            bare(&subscription.feed_url)
        );
        let stop = CancellationToken::new();
        let consumer = Consumer::open(database, subscription, effect, stop.clone()).await?;
        self.running = Some((tokio::spawn(consumer.run()), stop));
        Ok(())
    }

    /// Finishes the current batch, and releases the leases.
    async fn stop(self) {
        if let Some((task, stop)) = self.running {
            stop.cancel();
            let _ = task.await;
        }
    }
}

/// Returns the address of a feed as the database has it, without user and password.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail without a host alone.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Returns true if an address is the one that is stored, of which only the begin is kept if it is long.
fn follows(given: &str, stored: &str) -> bool {
    match stored.strip_suffix(" …") {
        Some(begin) => given.starts_with(begin),
        None => given == stored,
    }
}

/// `resume`
pub(super) async fn resume<B: Backend, E: Effect<B>>(
    handle: &Handle<B>,
    from: ResumeFrom,
    by: By,
    spare: OwnInstance<B, E>,
    again: Again,
) -> Result<Done, CommandError> {
    let decision = Decision::Resume(from);
    let before = check(handle, decision, again).await??;
    spare.check(&before)?;
    let position = handle.decide(decision, &by.name()?).await?;
    let progress = Progress::of("Resuming");
    let (_, outcome) = watch(handle, position, None, progress, spare).await?;
    print(&format!("Resumed: it {outcome}.\n"))?;
    Ok(Done::Well)
}

/// `replay`
pub(super) async fn replay<B: Backend, E: Effect<B>>(
    handle: &Handle<B>,
    from: Sequence,
    by: By,
    spare: OwnInstance<B, E>,
    again: Again,
) -> Result<Done, CommandError> {
    let decision = Decision::Replay(from);
    let before = check(handle, decision, again).await??;
    spare.check(&before)?;
    let position = handle.decide(decision, &by.name()?).await?;
    let progress = Progress::of("Replaying");
    let range = (from, before.sequence);
    let (status, _) = watch(handle, position, Some(range), progress, spare).await?;
    print(&match before.sequence >= from {
        true => {
            let events = counted(before.sequence - from + 1, "event");
            format!("Replayed {events}, {from} to {}.\n", before.sequence)
        }
        false => "The events are taken again.\n".to_owned(),
    })?;
    if status.parked > 0 {
        let parked = counted(status.parked, "event");
        print(&format!("{parked} parked: `parked` says why.\n"))?;
        return Ok(Done::Found);
    }
    Ok(Done::Well)
}

/// Watches a decision until it is executed, and until the events of `range` are taken again;
/// returns the state of the subscription then, and the outcome.
async fn watch<B: Backend, E: Effect<B>>(
    handle: &Handle<B>,
    position: i64,
    range: Option<(Sequence, Sequence)>,
    mut progress: Progress,
    mut spare: OwnInstance<B, E>,
) -> Result<(Status, String), CommandError> {
    let watched = tokio::select! {
        watched = look(handle, position, range, &mut progress, &mut spare) => Some(watched),
        _ = tokio::signal::ctrl_c() => None,
    };
    drop(progress);
    let stopped = match spare.running {
        Some(_) => STOPPED_ITSELF,
        None => STOPPED_WATCHING,
    };
    spare.stop().await;
    match watched {
        Some(watched) => watched.map_err(recorded),
        None => Err(CommandError::NotCarriedOut(stopped.to_owned())),
    }
}

/// Adds to an error of the database that the decision is recorded.
fn recorded(error: CommandError) -> CommandError {
    match error {
        CommandError::Database(_) | CommandError::Open(_) => CommandError::NotCarriedOut(format!(
            "{}; the decision is recorded, and an instance executes it when the database works: `decisions` says when",
            with_causes(&error)
        )),
        other => other,
    }
}

async fn look<B: Backend, E: Effect<B>>(
    handle: &Handle<B>,
    position: i64,
    range: Option<(Sequence, Sequence)>,
    progress: &mut Progress,
    spare: &mut OwnInstance<B, E>,
) -> Result<(Status, String), CommandError> {
    loop {
        // Read in this order, so that the status shows the effect of the decision.
        let decided = decided(handle, position).await?;
        let void = decided.as_ref().is_some_and(Decided::has_changed_nothing);
        let status = handle.status().await?;
        if let Some(outcome) = decided.and_then(|decided| decided.outcome) {
            if void {
                return Err(CommandError::NotCarriedOut(outcome));
            }
            match range {
                None => return Ok((status, outcome)),
                Some((_, to)) if status.sequence >= to => return Ok((status, outcome)),
                Some((from, to)) => {
                    if let Some(reason) = &status.halted {
                        let text = format!("halted half-way: {reason}; {WHAT_TO_DO}");
                        return Err(CommandError::NotCarriedOut(text));
                    }
                    if let Some(paused) = &status.paused {
                        let text = format!(
                            "paused half-way by {}: the rest is taken after `resume`",
                            paused.by
                        );
                        return Err(CommandError::NotCarriedOut(text));
                    }
                    progress.at(status.sequence + 1 - from, to + 1 - from);
                }
            }
        } else {
            progress.say(
                status
                    .last_error
                    .as_deref()
                    .unwrap_or("waiting for the service"),
            );
        }
        spare.start(&status).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the decision at that position.
async fn decided<B: Backend>(handle: &Handle<B>, position: i64) -> sqlx::Result<Option<Decided>> {
    let recent = handle.decisions(RECENT).await?;
    Ok(recent
        .into_iter()
        .find(|decided| decided.position == position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_address_is_known_by_its_begin() {
        assert!(follows("http://h/feed", "http://h/feed"));
        assert!(!follows("http://h/feed", "http://h/feed2"));
        assert!(follows("http://h/feed?long", "http://h/feed? …"));
        assert!(!follows("http://other/feed?long", "http://h/feed? …"));
        let url = "http://eve:secret@h/feed".parse().expect("a URL");
        assert_eq!(bare(&url), "http://h/feed");
    }

    #[test]
    fn an_error_while_it_watches_says_that_the_decision_is_recorded() {
        let failed = CommandError::Database(sqlx::Error::PoolTimedOut);
        let said = recorded(failed).to_string();
        assert!(
            said.starts_with("the database failed: pool timed out")
                && said.contains("the decision is recorded"),
            "{said}"
        );
    }
}
