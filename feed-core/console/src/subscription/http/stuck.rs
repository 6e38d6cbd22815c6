//! What is stuck, with forms to fix it: a halt, and parked events.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::lists::about;
use super::selected;
use crate::subscription::Again;
use crate::subscription::command::words::{
    FROM_NOW, FROM_START, KEEP, by_cause, counted, grouped, next_try, number,
};
use feed_chassis::html::instant;
use feed_core::consumer::{Cause, LONGEST_NAME, LONGEST_REASON, ParkedEvent, Selection};
use feed_core::http::BaseUrl;

/// The way to resume that takes events again.
const START: &str = "start";

/// The ways to resume after a halt: value, button, meaning.
const WAYS: [(&str, &str, &str); 3] = [
    ("keep", "Resume from the cursor", KEEP),
    (START, "From the start", FROM_START),
    ("now", "From now on", FROM_NOW),
];

/// Waiting events that are shown at once.
const WAITING: usize = 5;

/// Renders why it is halted, and how to resume; `again` is what comes of a resume from the start.
pub(super) fn halted(base: &BaseUrl, reason: &str, again: Again) -> Markup {
    html! {
        section.notice.bad role="alert" aria-label="Halted" {
            p { strong { "Halted: " } bdi { (reason) } "." }
            p { "No event is taken until an operator resumes the subscription:" }
            form method="post" action=(base.path("status/resume")) {
                (name("resume"))
                @for (value, button, meaning) in WAYS {
                    @match again {
                        Again::Doubles(why) if value == START => div.choice {
                            span { (button) }
                            p { "Not here: " (why) "." }
                        },
                        _ => div.choice {
                            button.plain name="from" value=(value) aria-describedby={ "way-" (value) } { (button) }
                            p id={ "way-" (value) } { (meaning) "." }
                        },
                    }
                }
            }
        }
    }
}

/// Renders the form for a replay, for when effects were lost; or why there is none.
pub(super) fn replay(base: &BaseUrl, again: Again) -> Markup {
    html! {
        details {
            summary { "Take events again" }
            @match again {
                Again::Doubles(why) => p { "Not here: " (why) "." },
                Again::Harmless => {
                    p {
                        "Rebuilds effects that were lost. What is still there is not doubled and not corrected, and \
                         what was skipped stays skipped."
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
    }
}

/// Renders the button that takes a decision back.
pub(super) fn undo(base: &BaseUrl, position: i64) -> Markup {
    html! {
        details {
            summary { "Undo" }
            form.inline method="post" action=(base.path("status/undo")) aria-label={ "Undo decision " (position) } {
                input type="hidden" name="decision" value=(position);
                (name(&format!("undo-{position}")))
                button.plain { "Undo" }
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
            input id=(id) name="by" required maxlength=(LONGEST_NAME) autocomplete="name";
        }
    }
}

/// Renders why events have failed, most frequent first, with the decisions about all that failed for one cause.
/// They were counted at `as_of`.
pub(super) fn causes(base: &BaseUrl, causes: &[Cause], as_of: DateTime<Utc>) -> Markup {
    html! {
        @for (index, cause) in causes.iter().enumerate() {
            @let heading = format!("cause-{index}");
            section.card aria-labelledby=(heading) {
                h3 id=(heading) {
                    (counted(cause.events, "event")) " such as " (about(base, &cause.subject))
                }
                p.reason.bad { (cause.cause) }
                p.quiet { "Since " (instant(cause.since)) ". Decisions name this cause " (cause.digest()) "." }
                @let selection = Selection::of_cause(&cause.cause);
                p { a href={ (base.path("status/parked")) "?" (selected::query(&selection)) } { "Look at them" } }
                (decide_many(
                    base,
                    &format!("cause-{index}"),
                    &Selection { as_of: Some(as_of), ..selection },
                    &counted(cause.events, "event"),
                    true,
                ))
            }
        }
    }
}

/// Renders the decisions about selected events; `events` says how many there are, `form` is part of the ids of the fields.
pub(super) fn decide_many(
    base: &BaseUrl,
    form: &str,
    selection: &Selection,
    events: &str,
    may_skip: bool,
) -> Markup {
    html! {
        form.inline method="post" action=(base.path("status/retry")) aria-label={ "Retry, " (form) } {
            (selected::hidden(selection))
            (name(&format!("retry-{form}")))
            button { "Retry " (events) }
        }
        @if may_skip {
            details {
                summary { "Skip them for ever" }
                form method="post" action=(base.path("status/skip")) aria-label={ "Skip, " (form) } {
                    (selected::hidden(selection))
                    div.field {
                        label for={ "reason-" (form) } { "Why they must not take effect" }
                        input id={ "reason-" (form) } name="reason" required maxlength=(LONGEST_REASON);
                    }
                    div.inline {
                        (name(&format!("skip-{form}")))
                        button.plain { "Skip " (events) }
                    }
                }
            }
        }
    }
}

/// Renders the failed events, each with the possible decisions and the later ones that wait for it. If they are `all`,
/// with the decision about all.
pub(super) fn parked(base: &BaseUrl, parked: &[ParkedEvent], halted: bool, all: bool) -> Markup {
    let causes = by_cause(parked);
    html! {
        @if causes.is_empty() {
            p.quiet { (if all { "No event is parked." } else { "No such event is parked." }) }
        }
        @if all && causes.len() > 1 {
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
                @if let Some(event_type) = &event.event_type {
                    span.quiet { ", " (event_type) }
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
                        input id={ "reason-" (index) } name="reason" required maxlength=(LONGEST_REASON);
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
