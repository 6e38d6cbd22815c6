//! Describes the routes of a consumer for programs: the part that all consumers share.

use schemars::JsonSchema;
use serde_json::json;

use super::decide::{Noted, Resumed, Retried, Skipped, TakenBack};
use super::instances::{PausedNow, RetiredNow};
use super::parked::Parked;
use super::{Comparing, Polling};
use crate::subscription::command::StatusDocument;
use crate::subscription::command::words::MOST;
use feed_chassis::openapi::{Answer, Description, Fields, LINE, Operation, Parameter, Schema};
use feed_core::consumer::{
    Decided, InstanceStatus, LONGEST_NAME, LONGEST_REASON, SkippedEvent, TakenEvent,
};

/// Describes the routes of [`router`](super::router()). `compares` is true if the service has a comparison.
#[must_use]
pub fn describe(compares: bool) -> Description {
    let status = Operation::get("/status", "status", "The state of the subscription")
        .answer(
            Answer::new(200, "The state")
                .json(Schema::of::<StatusDocument>())
                .html(),
        )
        .about("The page alone has an `ETag`.")
        .sometimes_conditional()
        .problem(400, "It takes no parameters");
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
        Schema::literal(json!({"type": "string", "pattern": NO_NUL})),
    ))
    .parameter(Parameter::query(
        "before",
        "Those with a lower number, by number",
        Schema::literal(json!({"type": "integer", "format": "int64", "minimum": 1})),
    ))
    .problem(404, "No such event or subject is known");
    let parked = Operation::get(
        "/status/parked",
        "parked",
        "The oldest parked events, or a selection, with what a decision about it would touch",
    )
    .answer(
        Answer::new(200, "The list")
            .json(Schema::of::<Parked>())
            .html(),
    );
    let parked = SELECTION
        .into_iter()
        .fold(limited(parked), |parked, (name, about)| {
            parked.parameter(Parameter::query(name, about, filter(name, about)))
        });
    let skipped = Operation::get(
        "/status/skipped",
        "skipped",
        "The newest events without effect",
    );
    let decisions = Operation::get("/status/decisions", "decisions", "The newest decisions");
    let instances = Operation::get(
        "/status/instances",
        "instances",
        "The instances: their share, lag, last contact and version",
    );
    let before = [
        status,
        list::<TakenEvent>(events, "events"),
        parked,
        list::<SkippedEvent>(skipped, "skipped"),
        list::<Decided>(decisions, "decisions"),
        list::<InstanceStatus>(instances, "instances"),
        pause(),
        retire(),
        all(),
        retry(),
        skip(),
        undo(),
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
    limited(list).answer(
        Answer::new(200, "The list")
            .json(Schema::named::<T>(name, Fields::new()))
            .html(),
    )
}

fn limited(list: Operation) -> Operation {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": MOST});
    list.parameter(Parameter::query(
        "limit",
        "The most items to list; 100 by default",
        Schema::literal(limit),
    ))
    .problem(
        400,
        "A parameter is out of bounds, is not known, or occurs more than once",
    )
}

/// What selects parked events.
const SELECTION: [(&str, &str); 5] = [
    (
        "cause",
        "Those that have failed for this reason, to the letter",
    ),
    (
        "type",
        "Those of this CloudEvents type; what an older version has parked has none",
    ),
    ("from", "Those that were parked then or later"),
    ("until", "Those that were parked before"),
    (
        "as_of",
        "Those that had failed by then, and not again since: what the list of that instant has counted",
    ),
];

fn condition(name: &str, about: &str) -> Schema {
    Schema::literal(match name {
        "cause" | "type" => json!({"description": about, "type": "string", "pattern": NO_NUL}),
        _ => json!({
            "description": about,
            "type": "string",
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
        }),
    })
}

/// A condition in a query, where an empty one is none: browsers send it so.
fn filter(name: &str, about: &str) -> Schema {
    Schema::literal(match name {
        "cause" | "type" => {
            json!({"description": about, "type": "string", "pattern": r"^[^\u0000]*$"})
        }
        _ => json!({
            "description": about,
            "type": "string",
            "anyOf": [{"format": "date-time"}, {"format": "date"}, {"maxLength": 0}],
        }),
    })
}

/// Texts of feeds may have anything else.
const NO_NUL: &str = r"^[^\u0000]*[^\s\u0000][^\u0000]*$";

/// The fields of a decision about an event or a selection.
fn about(event: &str) -> Fields {
    let event = json!({"description": event, "type": "string", "pattern": NO_NUL});
    let form = decision().optional("event", Schema::literal(event));
    let form = SELECTION.into_iter().fold(form, |form, (name, about)| {
        form.optional(name, condition(name, about))
    });
    form.not_with("event", &SELECTION.map(|(name, _)| name))
}

fn retry() -> Operation {
    let all = "The id of a parked event, or its subject. Without it those that are selected; without a selection, all.";
    let retry = Operation::post("/status/retry", "retry", "Try parked events again")
        .form(about(all))
        .problem(404, "The event is not parked, or none is selected")
        .problem(409, WAITS);
    decided::<Retried>(
        retry,
        200,
        "They are retried within seconds, or once a halted subscription is resumed",
    )
}

const WAITS: &str =
    "The event waits for an earlier one: decide about that; or another operator was first";

fn skip() -> Operation {
    let one = "The id of a parked event, or its subject; in its place a selection";
    let form = about(one)
        .any_of(&["event", "cause", "type", "from", "until"])
        .required(
            "reason",
            text("The reason; recorded with the decision", LONGEST_REASON),
        );
    let skip = Operation::post("/status/skip", "skip", "Skip parked events for ever")
        .about("Later events of their subjects continue. It can be undone until they take effect.")
        .form(form)
        .problem(404, "The event is not parked, or none is selected")
        .problem(409, WAITS);
    decided::<Skipped>(skip, 200, "It is skipped")
}

fn undo() -> Operation {
    let decision_number = json!({
        "description": "The number of the decision, as `/status/decisions` has it",
        "type": "integer",
        "format": "int64",
        "minimum": 1,
    });
    let form = decision().required("decision", Schema::literal(decision_number));
    let undo = Operation::post("/status/undo", "undo", "Take a decision back")
        .about(
            "One that no instance has executed, or a skip, until a later event of the subject has taken effect: the \
             event is parked again as it was.",
        )
        .form(form)
        .problem(404, "There is no such decision")
        .problem(409, "Nothing of it can be undone any more");
    decided::<TakenBack>(undo, 200, "It is taken back")
}

fn pause() -> Operation {
    let form = decision().required(
        "reason",
        text("The reason; recorded with the decision", LONGEST_REASON),
    );
    let pause = Operation::post("/status/pause", "pause", "Pause the subscription")
        .about("No event is taken or retried until it is resumed. A transaction that has begun is finished.")
        .form(form)
        .problem(409, "It is paused already");
    decided::<PausedNow>(pause, 200, "It is paused")
}

fn retire() -> Operation {
    let form = decision()
        .required(
            "instance",
            text("The name of a live instance", LONGEST_REASON),
        )
        .required(
            "reason",
            text("The reason; recorded with the decision", LONGEST_REASON),
        );
    let retire = Operation::post("/status/retire", "retire", "Take an instance out")
        .about("It releases its share to the others, and takes no events until its process is restarted.")
        .form(form)
        .problem(404, "No live instance has that name")
        .problem(409, "It is retired already, or the last one");
    decided::<RetiredNow>(retire, 200, "It is retired")
}

fn resume() -> Operation {
    let from = json!({
        "description": "After a halt: `keep`: where it is; `start`: the first event, and effects that are still there are \
                        not doubled; `now`: the next new event. Left out after a pause",
        "type": "string",
        "enum": ["keep", "start", "now"],
    });
    let form = decision().optional("from", Schema::literal(from));
    let resume = Operation::post("/status/resume", "resume", "Resume after a pause or a halt")
        .form(form)
        .answer(
            Answer::new(200, "After a pause: events are taken again").json(Schema::of::<Resumed>()),
        )
        .problem(
            409,
            "The subscription is neither paused nor halted, or halted without `from`; or effects would be doubled",
        );
    decided::<Noted>(
        resume,
        202,
        "After a halt: the next instance that polls executes it",
    )
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
        .about("Rebuilds effects that were lost. What is there is not doubled, and not corrected.")
        .form(form)
        .problem(
            409,
            "The subscription is halted, or has not got so far; or effects would be doubled",
        );
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
            text(
                "The operator's name; recorded with the decision",
                LONGEST_NAME,
            ),
        )
        .no_others()
}

fn text(about: &str, longest: usize) -> Schema {
    Schema::literal(json!({
        "description": about,
        "type": "string",
        "maxLength": longest,
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
