//! An operator's decisions on the page.

use std::future::Future;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::form::{Form, invalid};
use super::selected;
use super::site::{Site, done};
use crate::subscription::command::{Refused, check, check_pause};
use feed_chassis::Wanted;
use feed_core::Backend;
use feed_core::consumer::{DecideError, Decision, ResumeFrom, Selection};
use feed_core::http::Problem;

/// The page that shows the outcome.
pub(super) const STATUS: &str = "../status";

/// The answer: events are retried.
#[derive(Serialize, JsonSchema)]
pub(super) struct Retried {
    /// The number of events
    retried: u64,
}

/// `POST /status/retry`: one event, those that are selected, or all of them.
pub(super) async fn retry<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let about = about(&mut form);
    let by = form.by();
    form.check()?;
    let handle = site.handle;
    let retried = whole(async move {
        match about {
            About::One(event) => handle.retry(&event, &by).await.map(|()| 1),
            About::Many(selection) => handle.retry_selected(&selection, &by).await,
        }
    });
    let events = retried.await?.map_err(problem)?;
    Ok(done(
        wanted,
        STATUS,
        StatusCode::OK,
        Retried { retried: events },
    ))
}

/// What a decision is about.
enum About {
    One(String),
    Many(Selection),
}

/// Reads what a decision is about: an event or a selection, and not both.
fn about(form: &mut Form) -> About {
    let event = form.event();
    let selection = selected::of_form(form);
    match event {
        Some(event) => {
            if selection != Selection::default() {
                form.refuse("event", "does not go with a selection");
            }
            About::One(event)
        }
        None => About::Many(selection),
    }
}

/// The answer: an event is skipped for ever, or those that were selected.
#[derive(Serialize, JsonSchema)]
pub(super) struct Skipped {
    /// The event's id, or what was selected
    skipped: String,
    /// The number of events
    events: u64,
    reason: String,
    by: String,
}

/// `POST /status/skip`
pub(super) async fn skip<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let about = about(&mut form);
    if matches!(&about, About::Many(selection) if selection.is_all()) {
        form.refuse("event", "is missing");
    }
    let (reason, by) = (form.reason(), form.by());
    form.check()?;
    let handle = site.handle;
    let skipped = whole(async move {
        let (skipped, events) = match about {
            About::One(event) => {
                let event = handle.skip(&event, &reason, &by).await?;
                (event.id, 1)
            }
            About::Many(selection) => {
                let events = handle.skip_selected(&selection, &reason, &by).await?;
                (selection.to_string(), events)
            }
        };
        Ok(Skipped {
            skipped,
            events,
            reason,
            by,
        })
    });
    let document = skipped.await?.map_err(problem)?;
    Ok(done(wanted, STATUS, StatusCode::OK, document))
}

/// The answer: a decision is taken back.
#[derive(Serialize, JsonSchema)]
pub(super) struct TakenBack {
    /// The position of the decision that is taken back
    undone: i64,
    /// The position of the undo among the decisions
    position: i64,
    /// What came of it
    outcome: String,
}

/// `POST /status/undo`
pub(super) async fn undo<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let position = number(
        &mut form,
        "decision",
        "is the number of a decision, from 1 on",
    );
    let by = form.by();
    form.check()?;
    let handle = site.handle;
    let undone = whole(async move { handle.undo(position, &by).await });
    let undone = undone.await?.map_err(problem)?;
    let document = TakenBack {
        undone: position,
        position: undone.position,
        outcome: undone.outcome,
    };
    Ok(done(wanted, STATUS, StatusCode::OK, document))
}

/// Reads a number from 1 on.
fn number(form: &mut Form, field: &str, meaning: &str) -> i64 {
    let text = form.required(field);
    match text.parse() {
        Ok(number @ 1..) => number,
        _ => {
            if !text.is_empty() {
                form.refuse(field, meaning);
            }
            1
        }
    }
}

/// `POST /status/resume`
pub(super) async fn resume<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let by = form.by();
    let from = match form.optional_text("from").as_deref().map(str::trim) {
        None => None,
        Some("keep") => Some(ResumeFrom::Kept),
        Some("start") => Some(ResumeFrom::Start),
        Some("now") => Some(ResumeFrom::Now),
        Some(_) => {
            form.refuse("from", "is one of keep, start and now");
            None
        }
    };
    form.check()?;
    match from {
        Some(from) => decide(site, wanted, Decision::Resume(from), by).await,
        None => unpause(site, wanted, by).await,
    }
}

/// The answer: a pause has ended.
#[derive(Serialize, JsonSchema)]
pub(super) struct Resumed {
    paused: bool,
    by: String,
}

async fn unpause<B: Backend>(
    site: Site<B>,
    wanted: Wanted,
    by: String,
) -> Result<Response, Problem> {
    check_pause(&site.handle).await??;
    let document = Resumed {
        paused: false,
        by: by.clone(),
    };
    let handle = site.handle;
    whole(async move { handle.unpause(&by).await })
        .await?
        .map_err(problem)?;
    Ok(done(wanted, STATUS, StatusCode::OK, document))
}

/// `POST /status/replay`
pub(super) async fn replay<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let by = form.by();
    let from = number(&mut form, "from", "is the number of an event, from 1 on");
    form.check()?;
    decide(site, wanted, Decision::Replay(from), by).await
}

/// The answer: a decision is recorded.
#[derive(Serialize, JsonSchema)]
pub(super) struct Noted {
    /// The decision as text: `resume keep`
    decision: String,
    /// Its position among the decisions
    position: i64,
}

/// Records a decision for an instance to execute soon.
async fn decide<B: Backend>(
    site: Site<B>,
    wanted: Wanted,
    decision: Decision,
    by: String,
) -> Result<Response, Problem> {
    check(&site.handle, decision, site.again).await??;
    let handle = site.handle;
    let position = whole(async move { handle.decide(decision, &by).await })
        .await?
        .map_err(problem)?;
    let document = Noted {
        decision: decision.to_string(),
        position,
    };
    Ok(done(wanted, STATUS, StatusCode::ACCEPTED, document))
}

/// Runs a transaction in a task of its own: a client that disconnects cannot interrupt it.
pub(super) async fn whole<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    let lost = |error| Problem::internal().caused_by("lost a decision", error);
    tokio::spawn(work).await.map_err(lost)
}

const NOT_ALLOWED: &str = "Not allowed in the subscription's current state";

pub(super) fn problem(error: DecideError) -> Problem {
    let detail = error.to_string();
    match error {
        DecideError::NotParked(_) => {
            let title = "There is no such parked event";
            Problem::new(StatusCode::NOT_FOUND, "not-parked", title, detail)
        }
        DecideError::NoneSelected(_) => {
            let title = "No parked event is selected";
            Problem::new(StatusCode::NOT_FOUND, "none-selected", title, detail)
        }
        DecideError::NoSuchDecision(_) => {
            let title = "There is no such decision";
            Problem::new(StatusCode::NOT_FOUND, "no-such-decision", title, detail)
        }
        DecideError::AlreadyDecided { .. } | DecideError::SkippedBefore { .. } => {
            let title = "Another operator was first";
            Problem::new(StatusCode::CONFLICT, "already-decided", title, detail)
        }
        DecideError::TakenBack(_) => {
            let title = "Another operator has taken it back";
            Problem::new(StatusCode::CONFLICT, "taken-back", title, detail)
        }
        DecideError::Partly { error, .. } => match *error {
            DecideError::Database(error) => error.into(),
            _ => Problem::new(StatusCode::CONFLICT, "refused", NOT_ALLOWED, detail),
        },
        DecideError::CannotUndo(..) => {
            let title = "The decision cannot be undone";
            Problem::new(StatusCode::CONFLICT, "cannot-undo", title, detail)
        }
        DecideError::Waits(..) => {
            let title = "The event waits for another one";
            Problem::new(StatusCode::CONFLICT, "waits", title, detail)
        }
        DecideError::NoSuchInstance(_) => {
            let title = "There is no such instance";
            Problem::new(StatusCode::NOT_FOUND, "no-such-instance", title, detail)
        }
        DecideError::Paused(_)
        | DecideError::NotPaused
        | DecideError::UnderWay
        | DecideError::BeingTried
        | DecideError::FailedSince { .. }
        | DecideError::Retired(..)
        | DecideError::Older(_)
        | DecideError::LastInstance(_) => {
            Problem::new(StatusCode::CONFLICT, "refused", NOT_ALLOWED, detail)
        }
        DecideError::Name(_) | DecideError::Reason(_) | DecideError::Everything => invalid(detail),
        DecideError::Database(error) => error.into(),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (kind, title) = match refused {
            Refused::Doubles(_) => (
                "not-idempotent",
                "Events that are taken again may have a second effect",
            ),
            _ => ("refused", NOT_ALLOWED),
        };
        Self::new(StatusCode::CONFLICT, kind, title, refused.to_string())
    }
}
