//! Executes the decisions of an operator. A decision stays open until its transaction commits, so
//! that exactly one instance executes it.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use tracing::{info, warn};

use super::decision::{Decision, ResumeFrom};
use crate::consumer::apply::renewal::renew;
use crate::consumer::apply::sweep::MARGIN;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::PollError;
use crate::consumer::round::backfill::{LIMITS, walk_back};
use crate::consumer::round::follower::Follower;
use crate::consumer::source::backlog::Backlog;
use crate::consumer::source::document::Document;
use crate::consumer::source::entry::event_id;
use crate::consumer::source::fetch::Source;
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::walk::{Walk, WalkError};
use crate::cursor::Cursor;
use crate::database::timeout::TRANSACTION;
use crate::event::Sequence;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::{Claim, Heartbeat, Position};
use crate::store::decide::{Decided, not_carried_out};
use crate::store::operate::Skip;
use crate::store::replay::Place;

/// Events that are claimed or forgotten in one transaction, and the pause after it, so that no other writer waits long.
const AT_ONCE: i64 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

/// The outcome of a replay of which a part is executed: it can no longer be taken back, nor end without effect.
const UNDER_WAY: &str = "under way";

/// Why a parked event is not repeated that waited for another one.
const GONE: &str = "the feed no longer has this event: retry or skip it";

/// The most attempts to read a page of a walk, so that one that fails now and then does not begin the walk anew.
const ATTEMPTS: u32 = 5;

/// The changes that a decision makes.
struct Plan {
    /// A halt ends.
    resumes: bool,
    /// All partitions move to this position.
    to: Option<Position>,
    /// Where the subscription begins from now on.
    begins: Option<Sequence>,
    /// Entries without sequences to claim.
    claim: Vec<String>,
    /// The outcome to record.
    outcome: String,
}

impl Plan {
    fn saying(outcome: impl Into<String>) -> Self {
        Self {
            resumes: false,
            to: None,
            begins: None,
            claim: Vec::new(),
            outcome: outcome.into(),
        }
    }

    fn resuming(outcome: impl Into<String>) -> Self {
        Self {
            resumes: true,
            ..Self::saying(outcome)
        }
    }

    /// Changes nothing, for this reason.
    fn none(reason: impl Display) -> Self {
        Self::saying(not_carried_out(reason))
    }
}

/// Executes the oldest open decision, if there is one.
pub(in crate::consumer) async fn execute_decision<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<(), PollError> {
    let (pool, s, _) = follower.instance.scope();
    let open = B::open_decision(pool, s);
    if let Some(open) = follower.instance.database.statement(open).await? {
        follower.failed_decision = Some(open.position);
        // It may take long, and nothing is taken meanwhile.
        follower.leases.mark_unknown();
        execute(follower, &open).await?;
        follower.leases.heartbeat(Heartbeat::forget_head);
    }
    follower.failed_decision = None;
    follower.leases.signals.send_modify(|signals| {
        signals.decision = None;
        signals.halted = None;
    });
    follower.cursors.forget();
    // More decisions may be open, or the halt may remain.
    renew(&follower.instance, &follower.leases).await?;
    Ok(())
}

async fn execute<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
    open: &Decided,
) -> Result<(), PollError> {
    let plan = match open.decision.parse() {
        Ok(Decision::Resume(ResumeFrom::Kept)) => Plan::resuming("goes on from where it was"),
        Ok(Decision::Resume(ResumeFrom::Start)) => start(follower).await?,
        Ok(Decision::Resume(ResumeFrom::Now)) => newest_position(follower).await?,
        Ok(Decision::Replay(from)) => return replay(follower, open, from).await,
        // A newer version of this program stored it.
        Err(error) => Plan::none(error),
    };
    if plan.to.is_some() {
        claim_decided(follower, None).await?;
    }
    commit(follower, open, None, plan).await
}

/// Returns the plan to take each event of the feed that has not been taken.
async fn start<B: Backend, E: Effect<B>>(follower: &mut Follower<B, E>) -> Result<Plan, PollError> {
    let Some(kept) = oldest_kept(follower).await? else {
        return Ok(Plan {
            to: Some(Position::default()),
            begins: Some(0),
            ..Plan::resuming("goes on from the first event of the feed")
        });
    };
    let sequence = kept.sequence;
    Ok(Plan {
        to: Some(kept),
        ..Plan::resuming(format!(
            "goes on after event {sequence}: up to it, the feed has the same events as before, and they have been taken"
        ))
    })
}

/// Returns the oldest event whose claim is kept, if the feed still has it, and so all before it: those have been taken, and
/// their claims swept. Without claims they would have their effects again, after newer ones of their subjects (I5, I6).
async fn oldest_kept<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Option<Position>, PollError> {
    let (pool, s, _) = follower.instance.scope();
    let state = B::subscription_state(pool, s);
    let state = follower.instance.database.statement(state).await?;
    let epochs = B::epochs(pool, s);
    let epochs = follower.instance.database.statement(epochs).await?;
    // What came before the subscription began has not been taken; of two feeds, each instance has taken its own part.
    if state.begins != Some(0) || epochs.len() > 1 {
        return Ok(None);
    }
    let kept = B::oldest_claim(pool, s, state.sequence - MARGIN, state.sequence);
    let kept = follower.instance.database.statement(kept).await?;
    let Some((sequence, id)) = kept.filter(|(sequence, _)| *sequence > 1) else {
        return Ok(None);
    };
    let head = follower.source.whole_head().await?;
    let epoch = head.and_then(|head| head.document.cursor);
    let (Some(epoch), Some(anchor)) = (epoch.map(|cursor| cursor.epoch), event_id(&id)) else {
        return Ok(None);
    };
    let cursor = Cursor {
        epoch,
        sequence,
        anchor: Some(anchor),
    };
    match follower.source.position(Some(&cursor)).await {
        Ok(_) => Ok(Some(Position {
            epoch: Some(cursor.epoch.to_string()),
            sequence,
            anchor: Some(id),
            ..Position::default()
        })),
        Err(FetchError::Status { status: 410, .. }) => Ok(None),
        Err(error) if takes_no_cursor(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Another instance was first.
fn decided_before() {
    Mark::DecidedBefore.reached();
}

/// Takes the events from a sequence on again. The first transaction moves the cursors, so that what is forgotten afterwards
/// comes again, whatever happens in between; the feed is needed for it alone. Another instance, or a later start, does the
/// rest.
async fn replay<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
    open: &Decided,
    from: Sequence,
) -> Result<(), PollError> {
    // Otherwise an instance has begun to execute it.
    if open.can_be_undone {
        match replay_position(follower, from).await? {
            Ok(to) => {
                let gone = parked_and_gone(follower, from).await?;
                let begun = begin_replay(follower, open, from, &to, &gone);
                if !follower
                    .instance
                    .database
                    .within(TRANSACTION, begun)
                    .await?
                {
                    decided_before();
                    return Ok(());
                }
            }
            Err(reason) => return commit(follower, open, None, Plan::none(reason)).await,
        }
    }
    let forgotten = async {
        claim_decided(follower, Some(from)).await?;
        forget(follower, open, from).await
    };
    follower.leases.without_feed(forgotten).await?;
    let outcome = format!("takes the events from {from} on again");
    commit(follower, open, Some(UNDER_WAY), Plan::saying(outcome)).await
}

/// Moves the cursors before `from`, and keeps the parked events that are `gone` from the feed. Returns false if another
/// instance has done so, or the decision is closed.
async fn begin_replay<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    open: &Decided,
    from: Sequence,
    to: &Position,
    gone: &[String],
) -> sqlx::Result<bool> {
    let s = &follower.subscription.name;
    let mut tx = follower.instance.database.begin().await?;
    if !B::begin_decision(&mut tx, open.position, None, UNDER_WAY).await? {
        return Ok(false);
    }
    // At 1 all partitions move, also those that have taken nothing. An operator's skip locks its partition first, too.
    B::reposition(&mut tx, s, if from == 1 { 0 } else { from }, to).await?;
    // What an operator had let the subscription begin after is taken now, too.
    B::begin_before(&mut tx, s, from).await?;
    for ids in gone.chunks(AT_ONCE as usize) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        B::keep_parked(&mut tx, s, &ids, GONE).await?;
    }
    // What came before a skipped event may come again, and must not wait for that (I6).
    B::end_undo_from(&mut tx, s, from).await?;
    tx.commit().await?;
    Ok(true)
}

/// Returns the parked events from a sequence on that the feed no longer has, as after a restore: here are their only copies,
/// so a replay must not forget them. None is added while it is open: no skip is taken back then.
async fn parked_and_gone<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    from: Sequence,
) -> Result<Vec<String>, PollError> {
    let (pool, s, _) = follower.instance.scope();
    let (mut gone, mut after) = (Vec::new(), (from - 1, String::new()));
    let mut walk = Walk::forward(&follower.source, None).with_attempts(ATTEMPTS);
    let mut shown: Option<Document> = None;
    loop {
        let parked = B::parked_after(pool, s, after.0, &after.1, AT_ONCE);
        let parked = follower.instance.database.statement(parked).await?;
        let Some(last) = parked.last() else {
            return Ok(gone);
        };
        after.clone_from(last);
        let mut missing: HashSet<String> = parked.into_iter().map(|(_, id)| id).collect();
        loop {
            for entry in shown.iter().flat_map(|document| &document.entries) {
                missing.remove(&entry.id);
            }
            if walk.sequence() >= after.0 {
                break;
            }
            match next_page(follower, &mut walk).await? {
                Some(document) => shown = Some(document),
                None => break,
            }
        }
        gone.extend(missing);
    }
}

/// Returns the next document of a walk forward. A link that must not be followed is ignored, and `?after=` used instead.
async fn next_page<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    walk: &mut Walk,
) -> Result<Option<Document>, WalkError> {
    loop {
        match walk.next().await {
            Err(WalkError::Fetch(FetchError::Link(_))) if walk.at().is_some() => {
                walk.continue_here();
            }
            next => {
                follower.leases.heard(None);
                return next;
            }
        }
    }
}

/// Claims what is decided, whose claims may have been swept, so that it is not repeated: parked and skipped events, or
/// those from a replay's sequence on that an operator has skipped. There may be millions, so this takes several
/// transactions before that of the decision. Nothing is swept while a decision is open.
async fn claim_decided<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    replay: Option<Sequence>,
) -> Result<(), PollError> {
    let (instance, mut after) = (&follower.instance, (replay, String::new()));
    loop {
        let (pool, s, _) = instance.scope();
        let decided = instance
            .database
            .statement(B::decided(pool, s, replay, &after, AT_ONCE))
            .await?;
        let Some((last, id, _)) = decided.last() else {
            return Ok(());
        };
        after = (*last, id.clone());
        let claims: Vec<Claim<'_>> = decided
            .iter()
            .map(|(sequence, event_id, subject)| Claim {
                event_id,
                sequence: *sequence,
                subject,
            })
            .collect();
        let claimed = async {
            let mut tx = instance.database.begin().await?;
            B::claim(&mut tx, s, &claims, false).await?;
            tx.commit().await
        };
        instance.database.within(TRANSACTION, claimed).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Forgets the events that a replay repeats, in several transactions. Each locks the decision, so that an instance that is
/// slower forgets nothing that is taken after it. No instance takes an event while a decision is open, and no operator
/// skips one.
async fn forget<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    open: &Decided,
    from: Sequence,
) -> Result<(), PollError> {
    let mut after = (Some(from), String::new());
    loop {
        let portion = forget_portion(follower, open, from, &after);
        match follower
            .instance
            .database
            .within(TRANSACTION, portion)
            .await?
        {
            Some(last) => after = last,
            None => return Ok(()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the place of the last event that was forgotten; `None` at the end, or if the decision is closed.
async fn forget_portion<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    open: &Decided,
    from: Sequence,
    after: &Place,
) -> sqlx::Result<Option<Place>> {
    let s = &follower.subscription.name;
    let mut tx = follower.instance.database.begin().await?;
    if !B::begin_decision(&mut tx, open.position, Some(UNDER_WAY), UNDER_WAY).await? {
        return Ok(None);
    }
    let repeated = B::repeated(&mut tx, s, from, after, AT_ONCE).await?;
    let ids: Vec<&str> = repeated.iter().map(|(_, id)| id.as_str()).collect();
    B::forget(&mut tx, s, &ids).await?;
    tx.commit().await?;
    Ok(repeated.into_iter().next_back())
}

/// Closes a decision whose outcome so far is `known`, and makes the changes.
async fn commit<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    open: &Decided,
    known: Option<&str>,
    plan: Plan,
) -> Result<(), PollError> {
    let s = &follower.subscription.name;
    let committed = commit_plan(follower, open, known, plan);
    match follower
        .instance
        .database
        .within(TRANSACTION, committed)
        .await?
    {
        Some(outcome) => warn!("carried out a decision about {s}: {outcome}"),
        None => decided_before(),
    }
    Ok(())
}

/// Returns the outcome; `None` if another instance was first.
async fn commit_plan<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    open: &Decided,
    known: Option<&str>,
    mut plan: Plan,
) -> sqlx::Result<Option<String>> {
    let s = &follower.subscription.name;
    let mut tx = follower.instance.database.begin().await?;
    // Two operators may have decided about the same halt: what was taken since the first one would be left out.
    if plan.resumes && !B::unhalt(&mut tx, s, plan.begins).await? {
        plan = Plan::none("it is not halted any more");
    }
    if !B::close_decision(&mut tx, open.position, known, &plan.outcome).await? {
        return Ok(None);
    }
    // Lock the partitions first: all transactions lock in this order.
    match &plan.to {
        Some(to) => drop(B::reposition(&mut tx, s, 0, to).await?),
        // An instance that was about to halt for the same reason must not do so later.
        None if plan.resumes => B::fence(&mut tx, s).await?,
        None => {}
    }
    if plan.to.is_some() {
        // What came before a skipped event may come again, and must not wait for that (I6).
        B::end_undo_from(&mut tx, s, 0).await?;
    }
    let claims: Vec<Claim<'_>> = plan
        .claim
        .iter()
        .map(|id| Claim {
            event_id: id,
            sequence: None,
            subject: id,
        })
        .collect();
    if !claims.is_empty() {
        let won = B::claim(&mut tx, s, &claims, false).await?;
        let skips: Vec<Skip<'_>> = won
            .iter()
            .map(|id| Skip {
                event_id: id,
                subject: id,
                event_type: None,
                sequence: None,
                reason: "the subscription begins after it",
            })
            .collect();
        B::skip(&mut tx, s, &skips, Some(&open.decided_by)).await?;
    }
    tx.commit().await?;
    Ok(Some(plan.outcome))
}

/// Returns the position behind the newest event.
async fn newest_position<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Plan, PollError> {
    let Some(new) = follower.source.whole_head().await? else {
        return Ok(Plan::none("the feed shows nothing"));
    };
    let newest = new.document.entries.last().cloned();
    let Some(cursor) = &new.document.cursor else {
        let backlog = backlog_from(follower, new.document).await?;
        return Ok(Plan {
            to: Some(Position {
                anchor: backlog.window().map(|window| window.to_string()),
                ..Position::default()
            }),
            claim: backlog.ids().map(str::to_owned).collect(),
            ..Plan::resuming("goes on after the newest entry of the feed")
        });
    };
    let sequence = cursor.sequence;
    Ok(Plan {
        to: Some(Position {
            epoch: Some(cursor.epoch.to_string()),
            sequence,
            updated: newest.as_ref().map(|entry| entry.updated),
            anchor: newest.map(|entry| entry.id),
            ..Position::default()
        }),
        begins: Some(sequence),
        ..Plan::resuming(format!(
            "goes on after event {sequence}; what came before and was not taken is not taken"
        ))
    })
}

/// Returns the documents that a walk from `head` on meets. If the walk exceeds its limits, returns the first two, which show a
/// later walk where it ends.
async fn backlog_from<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    head: Document,
) -> Result<Backlog, PollError> {
    match walk_back(follower, head.clone()).await {
        Ok(backfill) => Ok(backfill.backlog),
        Err(PollError::TooLong { .. }) => {
            let mut backlog = Backlog::default();
            let mut walk = Walk::back(&follower.source, head, LIMITS);
            for _ in 0..2 {
                if let Some(document) = walk.next().await? {
                    backlog.add(document, [], follower.subscription.names.feed_url);
                }
            }
            Ok(backlog)
        }
        Err(error) => Err(error),
    }
}

/// Returns the position before `from`, or why the feed has none.
async fn replay_position<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    from: Sequence,
) -> Result<Result<Position, String>, PollError> {
    let (pool, s, _) = follower.instance.scope();
    let state = B::subscription_state(pool, s);
    let state = follower.instance.database.statement(state).await?;
    let Some(epoch) = state.epoch else {
        return Ok(match from {
            1 => Ok(Position::default()),
            _ => Err("the feed has no numbers, only 1 is possible".to_owned()),
        });
    };
    let found = match from {
        1 => start_of(&follower.source, &epoch).await,
        _ => position_of(follower, &epoch, from - 1).await,
    };
    match found {
        Err(PollError::Fetch(error)) if takes_no_cursor(&error) => Ok(Err(error.to_string())),
        found => found,
    }
}

/// Returns the position before the first event, or why the feed has none. It keeps the epoch: the
/// repeated events must be of the same feed (I8). The feed is asked for them before anything is dropped.
async fn start_of(source: &Source, epoch: &str) -> Result<Result<Position, String>, PollError> {
    let Ok(known) = epoch.parse() else {
        return Ok(Err("the stored epoch cannot be read".to_owned()));
    };
    match source.position(Some(&Cursor::start(known))).await {
        Ok(_) => Ok(Ok(Position {
            epoch: Some(epoch.to_owned()),
            ..Position::default()
        })),
        Err(FetchError::Status { status: 410, .. }) => {
            Ok(Err("the feed is another one".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns true if the feed rejects `?after=`, as a part of a feed does: a permanent error.
fn takes_no_cursor(error: &FetchError) -> bool {
    matches!(error, FetchError::Status { status: 400, .. })
}

/// Finds the position of an event by walking the pages up to it, or says why there is none. It is rarely
/// needed, and a page costs milliseconds.
async fn position_of<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    epoch: &str,
    sequence: Sequence,
) -> Result<Result<Position, String>, PollError> {
    let missing = || {
        Ok(Err(format!(
            "the feed has no event {sequence} of epoch {epoch}"
        )))
    };
    let mut walk = Walk::forward(&follower.source, None).with_attempts(ATTEMPTS);
    loop {
        let document = match next_page(follower, &mut walk).await {
            Ok(Some(document)) => document,
            Ok(None) | Err(WalkError::NotSequenced(_)) => return missing(),
            Err(error) => return Err(error.into()),
        };
        let end = document.cursor.as_ref();
        if end.is_none_or(|end| end.epoch.as_str() != epoch) {
            return missing();
        }
        if let Some(entry) = document.at(sequence) {
            return Ok(Ok(Position {
                epoch: Some(epoch.to_owned()),
                sequence,
                anchor: Some(entry.id.clone()),
                updated: Some(entry.updated),
                ..Position::default()
            }));
        }
        let reached = walk.sequence();
        info!(sequence = reached, "looking for event {sequence}");
    }
}
