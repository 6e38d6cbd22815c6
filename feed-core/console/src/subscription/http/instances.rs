//! Who takes events: pauses and resumes the subscription, lists and retires its instances.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

use super::decide::{STATUS, problem, whole};
use super::form::Form;
use super::lists::{LIST, Query, table};
use super::site::{Site, done};
use super::stuck::name;
use crate::subscription::command::{COLUMNS, behind, named, share, state, why};
use feed_chassis::Wanted;
use feed_chassis::html::instant;
use feed_core::Backend;
use feed_core::consumer::{InstanceStatus, Paused};
use feed_core::http::{BaseUrl, Problem};

/// The answer: the subscription is paused.
#[derive(Serialize, JsonSchema)]
pub(super) struct PausedNow {
    paused: bool,
    reason: String,
    by: String,
}

/// `POST /status/pause`
pub(super) async fn pause<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let (reason, by) = (form.reason(), form.by());
    form.check()?;
    let document = PausedNow {
        paused: true,
        reason: reason.clone(),
        by: by.clone(),
    };
    let handle = site.handle;
    let paused = whole(async move { handle.pause(&reason, &by).await });
    paused.await?.map_err(problem)?;
    Ok(done(wanted, STATUS, StatusCode::OK, document))
}

/// `GET /status/instances`
pub(super) async fn list<B: Backend>(
    State(site): State<Site<B>>,
    query: Query<LIST>,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let instances = site.handle.instances(query.limit).await?;
    let page = || {
        let body = page(&site.frame.base, &instances);
        site.frame.page("Instances", &body)
    };
    Ok(wanted.answer(page, || named("instances", &instances)))
}

/// The answer: an instance is retired.
#[derive(Serialize, JsonSchema)]
pub(super) struct RetiredNow {
    /// The name of the instance
    retired: String,
    reason: String,
    by: String,
}

/// `POST /status/retire`
pub(super) async fn retire<B: Backend>(
    State(site): State<Site<B>>,
    wanted: Wanted,
    mut form: Form,
) -> Result<Response, Problem> {
    let instance = form.required("instance");
    let (reason, by) = (form.reason(), form.by());
    form.check()?;
    let document = RetiredNow {
        retired: instance.clone(),
        reason: reason.clone(),
        by: by.clone(),
    };
    let handle = site.handle;
    let retired = whole(async move { handle.retire(&instance, &reason, &by).await });
    retired.await?.map_err(problem)?;
    Ok(done(wanted, "instances", StatusCode::OK, document))
}

/// Renders a pause, with the form that ends it.
pub(super) fn paused(base: &BaseUrl, paused: &Paused) -> Markup {
    html! {
        section.notice.bad role="alert" aria-label="Paused" {
            p { strong { "Paused by " bdi { (paused.by) } ": " } bdi { (paused.reason) } }
            p { "Since " (instant(paused.at)) ". No event is taken or retried until an operator resumes the subscription." }
            form.inline method="post" action=(base.path("status/resume")) aria-label="Resume" {
                (name("unpause"))
                button { "Resume" }
            }
        }
    }
}

/// Renders the form for a pause.
pub(super) fn pause_form(base: &BaseUrl) -> Markup {
    html! {
        details {
            summary { "Pause the subscription" }
            p {
                "No instance takes or retries an event until an operator resumes it. A transaction that has begun is \
                 finished. The feed is still asked how far it is."
            }
            form.inline method="post" action=(base.path("status/pause")) aria-label="Pause" {
                (reason("pause"))
                (name("pause"))
                button.plain { "Pause" }
            }
        }
    }
}

fn reason(form: &str) -> Markup {
    let id = format!("reason-{form}");
    html! {
        div.field {
            label for=(id) { "Why" }
            input id=(id) name="reason" required maxlength="1000";
        }
    }
}

fn page(base: &BaseUrl, instances: &[InstanceStatus]) -> Markup {
    let none = "No instance has run within the last hour: start the service.";
    let working: Vec<_> = instances.iter().filter(|it| it.takes_events()).collect();
    html! {
        p {
            "The instances share the subjects of the feed in sixteen partitions. If one ends, the others take over \
             its share within ten seconds. Those that ended within the last hour are listed too."
        }
        @if working.is_empty() && !instances.is_empty() {
            p.notice.bad role="alert" { strong { "No instance takes events. " } "Start the service." }
        }
        (table("Instances", COLUMNS, instances, none, |instance| html! {
            th scope="row" { code.id { (instance.instance) } }
            td {
                span class=(class(instance)) { (state(instance)) }
                @if let Some(why) = why(instance) { p.reason { (why) } }
            }
            td.short { (share(instance)) }
            td.short { (behind(instance)) }
            td { (time(instance.last_contact, "never")) }
            td { (time(instance.started_at, "not known")) }
            td { (instance.version.as_deref().unwrap_or("older")) }
        }))
        @if working.len() > 1 {
            details {
                summary { "Take an instance out" }
                p {
                    "It releases its share to the others, and takes no events until its process is restarted. Its \
                     process and its pages stay, for you to look at."
                }
                form.inline method="post" action=(base.path("status/retire")) aria-label="Retire" {
                    div.field {
                        label for="retired" { "Instance" }
                        select id="retired" name="instance" required {
                            option value="" { "Choose one" }
                            @for instance in &working {
                                option value=(instance.instance) { (instance.instance) }
                            }
                        }
                    }
                    (reason("retire"))
                    (name("retire"))
                    button.plain { "Take it out" }
                }
            }
        } @else if working.len() == 1 {
            p.quiet {
                "The last instance cannot be taken out: start another one first, or pause the subscription on its "
                a href=(base.path("status")) { "status page" } "."
            }
        }
    }
}

fn class(instance: &InstanceStatus) -> &'static str {
    match instance.takes_events() {
        true => "status good",
        false => "status quiet",
    }
}

fn time(at: Option<chrono::DateTime<chrono::Utc>>, never: &'static str) -> Markup {
    html! {
        @match at {
            Some(at) => (instant(at)),
            None => (never),
        }
    }
}
