//! What is stuck, with forms to fix it: a halt, and parked events.

use maud::{Markup, html};

use super::lists::about;
use crate::subscription::command::words::{
    FROM_NOW, FROM_START, KEEP, by_cause, counted, grouped, next_try, number,
};
use feed_chassis::html::instant;
use feed_core::consumer::{Cause, ParkedEvent};
use feed_core::http::BaseUrl;

/// The ways to resume after a halt: value, button, meaning.
const WAYS: [(&str, &str, &str); 3] = [
    ("keep", "Resume from the cursor", KEEP),
    ("start", "From the start", FROM_START),
    ("now", "From now on", FROM_NOW),
];

/// Waiting events that are shown at once.
const WAITING: usize = 5;

/// Renders why it is halted, and how to resume.
pub(super) fn halted(base: &BaseUrl, reason: &str) -> Markup {
    html! {
        section.notice.bad role="alert" aria-label="Halted" {
            p { strong { "Halted: " } (reason) "." }
            p { "No event is taken until an operator resumes the subscription:" }
            form method="post" action=(base.path("status/resume")) {
                (name("resume"))
                @for (value, button, meaning) in WAYS {
                    div.choice {
                        button.plain name="from" value=(value) aria-describedby={ "way-" (value) } { (button) }
                        p id={ "way-" (value) } { (meaning) "." }
                    }
                }
            }
        }
    }
}

/// Renders the form for a replay, for when effects were lost.
pub(super) fn replay(base: &BaseUrl) -> Markup {
    html! {
        details {
            summary { "Take events again" }
            p {
                "Rebuilds effects that were lost. What is still there is not doubled, and what was \
                 skipped stays skipped."
            }
            form.inline method="post" action=(base.path("status/replay")) aria-label="Replay" {
                div.field {
                    label for="replay-from" { "From event number" }
                    input id="replay-from" name="from" type="number" min="1" value="1" required;
                }
                (name("replay"))
                button.plain { "Take again" }
            }
        }
    }
}

/// Renders the field for the operator's name.
pub(super) fn name(form: &str) -> Markup {
    let id = format!("by-{form}");
    html! {
        div.field {
            label for=(id) { "Your name, for the record" }
            input id=(id) name="by" required maxlength="200" autocomplete="name";
        }
    }
}

/// Renders why events have failed, most frequent first, with the decisions about all that failed for one cause.
pub(super) fn causes(base: &BaseUrl, causes: &[Cause]) -> Markup {
    html! {
        @for (index, cause) in causes.iter().enumerate() {
            @let heading = format!("cause-{index}");
            section.card aria-labelledby=(heading) {
                h3 id=(heading) {
                    (counted(cause.events, "event")) " such as " (about(base, &cause.subject))
                }
                p.reason.bad { (cause.cause) }
                p.quiet { "Since " (instant(cause.since)) "." }
                form.inline method="post" action=(base.path("status/retry"))
                    aria-label={ "Retry all of cause " (index + 1) } {
                    input type="hidden" name="cause" value=(cause.cause);
                    (name(&format!("retry-cause-{index}")))
                    button { "Retry " (counted(cause.events, "event")) }
                }
                details {
                    summary { "Skip them for ever" }
                    form method="post" action=(base.path("status/skip"))
                        aria-label={ "Skip all of cause " (index + 1) } {
                        input type="hidden" name="cause" value=(cause.cause);
                        div.field {
                            label for={ "cause-reason-" (index) } { "Why they must not take effect" }
                            input id={ "cause-reason-" (index) } name="reason" required maxlength="1000";
                        }
                        div.inline {
                            (name(&format!("skip-cause-{index}")))
                            button.plain { "Skip " (counted(cause.events, "event")) }
                        }
                    }
                }
            }
        }
    }
}

/// Renders the failed events, each with the possible decisions and the later ones that wait for it.
pub(super) fn parked(base: &BaseUrl, parked: &[ParkedEvent], halted: bool) -> Markup {
    let causes = by_cause(parked);
    html! {
        @if causes.is_empty() { p.quiet { "No event is parked." } }
        @if causes.len() > 1 {
            form.inline method="post" action=(base.path("status/retry")) aria-label="Retry all" {
                (name("all"))
                button.plain { "Retry all" }
            }
        }
        @for (index, (event, waiting)) in causes.iter().enumerate() {
            (failed(base, index, event, waiting, halted))
        }
    }
}

pub(super) fn failed(
    base: &BaseUrl,
    index: usize,
    event: &ParkedEvent,
    waiting: &[&ParkedEvent],
    halted: bool,
) -> Markup {
    let heading = format!("parked-{index}");
    html! {
        section.card aria-labelledby=(heading) {
            h3 id=(heading) {
                (about(base, &event.subject))
                @if let Some(sequence) = event.sequence {
                    span.quiet { ", event " (grouped(sequence)) }
                }
            }
            p.reason.bad { (event.reason.as_deref().unwrap_or_default()) }
            p.quiet {
                "Parked " (instant(event.parked_at)) ", tried " (counted(event.attempts, "time"))
                "; " (next_try(event, halted)) "." br;
                code.id { (event.id) }
            }
            (waits(waiting))
            form.inline method="post" action=(base.path("status/retry"))
                aria-label={ "Retry " (event.subject) } {
                input type="hidden" name="event" value=(event.id);
                (name(&format!("retry-{index}")))
                button { "Retry" }
            }
            details {
                summary { "Skip it for ever" }
                form method="post" action=(base.path("status/skip"))
                    aria-label={ "Skip " (event.subject) } {
                    input type="hidden" name="event" value=(event.id);
                    div.field {
                        label for={ "reason-" (index) } { "Why it must not take effect" }
                        input id={ "reason-" (index) } name="reason" required maxlength="1000";
                    }
                    div.inline {
                        (name(&format!("skip-{index}")))
                        button.plain { "Skip" }
                    }
                }
            }
        }
    }
}

fn waits(waiting: &[&ParkedEvent]) -> Markup {
    let count = waiting.len();
    html! {
        @if !waiting.is_empty() {
            p { (counted(count, "later event")) (if count == 1 { " waits" } else { " wait" }) " for it:" }
            ul {
                @for event in waiting.iter().take(WAITING) {
                    li { "event " (number(event.sequence)) " " code.id { (event.id) } }
                }
                @if waiting.len() > WAITING {
                    li.quiet { "and " (waiting.len() - WAITING) " more" }
                }
            }
        }
    }
}
