//! An operator's decisions on the page.

use std::future::Future;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::form::{Form, invalid};
use super::site::{Site, done};
use crate::subscription::command::{Refused, check, check_pause};
use feed_chassis::Wanted;
use feed_core::Backend;
use feed_core::consumer::{DecideError, Decision, ResumeFrom};
use feed_core::http::Problem;

/// The page that shows the outcome.
pub(super) const STATUS: &str = "../status";

/// The answer: events are retried.
#[derive(Serialize, JsonSchema)]
pub(super) struct Retried {
    /// The number of events
    retried: u64,
}

/// `POST /status/retry`: one event, those that failed for a cause, or all of them.
pub(super) async fn retry<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let (id, cause) = (form.optional("event"), form.optional_text("cause"));
    let by = form.required("by");
    if id.is_some() && cause.is_some() {
        form.refuse("cause", "does not go with an event");
    }
    form.check()?;
    let handle = site.handle;
    let retried = whole(async move {
        match cause {
            Some(cause) => handle.retry_cause(&cause, &by).await,
            None => handle.retry(id.as_deref(), &by).await,
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

/// The answer: an event is skipped for ever, or those that failed for a cause.
#[derive(Serialize, JsonSchema)]
pub(super) struct Skipped {
    /// The event's id, or the cause
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
    let cause = form.optional_text("cause");
    let id = match cause {
        Some(_) => String::new(),
        None => form.required("event"),
    };
    let (reason, by) = (form.required("reason"), form.required("by"));
    form.check()?;
    let mut document = Skipped {
        skipped: cause.clone().unwrap_or_else(|| id.clone()),
        events: 1,
        reason: reason.clone(),
        by: by.clone(),
    };
    let handle = site.handle;
    let skipped = whole(async move {
        match cause {
            Some(cause) => handle.skip_cause(&cause, &reason, &by).await,
            None => handle.skip(&id, &reason, &by).await.map(|()| 1),
        }
    });
    document.events = skipped.await?.map_err(problem)?;
    Ok(done(wanted, STATUS, StatusCode::OK, document))
}

/// `POST /status/resume`
pub(super) async fn resume<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let by = form.required("by");
    let from = match form.optional("from").as_deref() {
        None => None,
        Some("keep") => Some(ResumeFrom::Kept),
        Some("start") => Some(ResumeFrom::Start),
        Some("now") => Some(ResumeFrom::Now),
        Some(other) => {
            if !other.is_empty() {
                form.refuse("from", "is one of keep, start and now");
            }
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
    let by = form.required("by");
    let text = form.required("from");
    let from = match text.parse() {
        Ok(from @ 1..) => from,
        _ => {
            if !text.is_empty() {
                form.refuse("from", "is the number of an event, from 1 on");
            }
            1
        }
    };
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
    check(&site.handle, decision).await??;
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
        DecideError::NoSuchCause(_) => {
            let title = "No event has failed for this cause";
            Problem::new(StatusCode::NOT_FOUND, "no-such-cause", title, detail)
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
        | DecideError::Retired(..)
        | DecideError::LastInstance(_) => {
            Problem::new(StatusCode::CONFLICT, "refused", NOT_ALLOWED, detail)
        }
        DecideError::Missing(_) => invalid(detail),
        DecideError::Database(error) => error.into(),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "refused",
            NOT_ALLOWED,
            refused.to_string(),
        )
    }
}
