//! Describes the routes of a consumer for programs: the part that all consumers share.

use schemars::JsonSchema;
use serde_json::json;

use super::decide::{Noted, Retried, Skipped};
use super::form::LONGEST;
use super::{Comparing, Polling};
use crate::subscription::command::StatusDocument;
use crate::subscription::command::words::MOST;
use feed_chassis::openapi::{Answer, Description, Fields, LINE, Operation, Parameter, Schema};
use feed_core::consumer::{Decided, ParkedEvent, SkippedEvent, TakenEvent};

/// Describes the routes of [`router`](super::router()). `compares` is true if the service has a comparison.
#[must_use]
pub fn describe(compares: bool) -> Description {
    let status = Operation::get("/status", "status", "How the subscription stands")
        .answer(
            Answer::new(200, "How it stands")
                .json(Schema::of::<StatusDocument>())
                .html(),
        )
        .about("The page alone has an `ETag`.")
        .answer(Answer::new(304, "The client has the page already"));
    let events = Operation::get(
        "/status/events",
        "events",
        "The newest events that were taken",
    )
    .about("Those far below the cursor are not listed any more.")
    .parameter(Parameter::query(
        "event",
        "The id of an event, or a subject such as `order/17`: what is known of it, with the one that has failed and the \
         decisions about them",
        Schema::literal(json!({"type": "string", "pattern": LINE})),
    ))
    .problem(404, "No such event or subject is known");
    let parked = Operation::get("/status/parked", "parked", "The oldest parked events");
    let skipped = Operation::get(
        "/status/skipped",
        "skipped",
        "The newest events without effect",
    );
    let decisions = Operation::get("/status/decisions", "decisions", "The newest decisions");
    let before = [
        status,
        list::<TakenEvent>(events, "events"),
        list::<ParkedEvent>(parked, "parked"),
        list::<SkippedEvent>(skipped, "skipped"),
        list::<Decided>(decisions, "decisions"),
        all(),
        retry(),
        skip(),
        resume(),
        replay(),
    ];
    let comparing = compares.then(reconcile);
    let operations = before.into_iter().chain(comparing).chain([poll()]);
    Description::of(
        "Subscription",
        "How far the feed was followed, and what people decide about it",
        operations,
    )
}

/// An address of a consumer. Other URLs are accepted as well; a client that writes them needs no pattern.
const ADDRESS: &str = r"^(https?://([a-z]+(\.[a-z]+)*|([1-9][0-9]?\.){3}[1-9][0-9]?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}))?(/[A-Za-z0-9_]+)*/?|(/[A-Za-z0-9_]+)+/?)$";

fn all() -> Operation {
    let address = json!({"type": "string", "maxLength": 200, "pattern": ADDRESS});
    let of = json!({"type": "array", "maxItems": super::all::MOST, "items": address});
    Operation::get("/status/all", "all", "Several consumers on one page")
        .about("A page alone: the browser asks each consumer for its status. `feed status` does the same for programs.")
        .parameter(Parameter::query(
            "of",
            "The addresses of other consumers: URLs, or paths on this host",
            Schema::literal(of),
        ))
        .answer(Answer::new(200, "The page").html())
        .problem(400, "`of` is no such address, or there are too many")
        .problem(406, "No page is acceptable")
}

fn list<T: JsonSchema>(list: Operation, name: &'static str) -> Operation {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": MOST});
    list.parameter(Parameter::query(
        "limit",
        "The most items to list; 100 by default",
        Schema::literal(limit),
    ))
    .answer(
        Answer::new(200, "The list")
            .json(Schema::named::<T>(name, Fields::new()))
            .html(),
    )
    .problem(400, "`limit` is out of bounds, or `event` no id")
}

fn retry() -> Operation {
    let all =
        "The id of a parked event, or its subject; all of them, if it and `cause` are missing";
    let form = decision()
        .optional("event", text(all))
        .optional("cause", cause())
        .not_both(["event", "cause"]);
    let retry = Operation::post("/status/retry", "retry", "Try parked events again")
        .form(form)
        .problem(404, "The event is not parked, or none for this cause")
        .problem(409, "The event waits for an earlier one: decide about that");
    decided::<Retried>(
        retry,
        200,
        "They are retried within seconds, or once a halted subscription is resumed",
    )
}

fn skip() -> Operation {
    let why = "The reason; recorded with the decision";
    let form = decision()
        .optional(
            "event",
            text("The id of a parked event, or its subject; required without `cause`"),
        )
        .optional("cause", cause())
        .exactly_one(&["event", "cause"])
        .required("reason", text(why));
    let skip = Operation::post("/status/skip", "skip", "Skip a parked event for ever")
        .about("Later events of its subject continue.")
        .form(form)
        .problem(404, "The event is not parked, or none for this cause")
        .problem(409, "The event waits for an earlier one: decide about that");
    decided::<Skipped>(skip, 200, "It is skipped")
}

/// The field that names the events that failed for one cause.
fn cause() -> Schema {
    Schema::literal(json!({
        "description": "In place of `event`: all that have failed for this reason, as `/status/parked` has it",
        "type": "string",
    }))
}

fn resume() -> Operation {
    let from = json!({
        "description": "`keep`: where it is; `start`: the first event, and what was taken has no \
                        second effect; `now`: the next new event",
        "type": "string",
        "enum": ["keep", "start", "now"],
    });
    let form = decision().required("from", Schema::literal(from));
    let resume = Operation::post("/status/resume", "resume", "Resume after a halt")
        .form(form)
        .problem(409, "The subscription is not halted");
    decided::<Noted>(resume, 202, "The next instance that polls executes it")
}

fn replay() -> Operation {
    let from = json!({
        "description": "The number of the first event that is taken again",
        "type": "integer",
        "format": "int64",
        "minimum": 1,
    });
    let form = decision().required("from", Schema::literal(from));
    let replay = Operation::post("/status/replay", "replay", "Take events again")
        .about("Rebuilds effects that were lost. What is there is not doubled.")
        .form(form)
        .problem(409, "The subscription is halted, or has not got so far");
    decided::<Noted>(replay, 202, "The next instance that polls executes it")
}

fn reconcile() -> Operation {
    let reconcile = Operation::post(
        "/status/reconcile",
        "reconcile",
        "Compare what is stored with the feed",
    )
    .about("Runs in the background; `/status` shows the result. Nothing is changed.");
    changed::<Comparing>(reconcile, 202, "The comparison has begun, or is under way")
}

fn poll() -> Operation {
    let poll = Operation::post("/poll", "poll", "Ask the feed now")
        .about("Runs in the background; `/status` shows the result.");
    changed::<Polling>(poll, 202, "The feed is asked")
}

/// The fields that are recorded with each decision.
fn decision() -> Fields {
    Fields::new()
        .required(
            "by",
            text("The operator's name; recorded with the decision"),
        )
        .no_others()
}

fn text(about: &str) -> Schema {
    Schema::literal(json!({
        "description": about,
        "type": "string",
        "maxLength": LONGEST,
        "pattern": LINE,
    }))
}

fn decided<T: JsonSchema>(decision: Operation, status: u16, about: &'static str) -> Operation {
    changed::<T>(decision, status, about).problem(422, "A field is missing or wrong")
}

/// Adds the answers of a change: a document for a program, and a redirect to the page for a
/// browser.
fn changed<T: JsonSchema>(operation: Operation, status: u16, about: &'static str) -> Operation {
    operation
        .answer(Answer::new(status, about).json(Schema::of::<T>()))
        .answer(
            Answer::new(303, "The same, for clients that prefer a page")
                .header("Location", "The page with the result"),
        )
        .problem(403, "A page of another site had a browser send this")
        .problem(406, "Neither JSON nor a page is acceptable")
}
