//! Describes the feed's routes for programs. The README of this crate explains how to follow a
//! feed: a consumer needs only `/feed` and the links in it.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use feed_chassis::openapi::{Answer, Description, Operation, Parameter, Schema};
use feed_core::LAST_SEQUENCE;
use feed_core::feed::{BATCH, STRUCTURED, Status};

const ATOM: &str = "application/atom+xml";

/// Clients that accept none of the media types get feed documents as Atom.
const NO_CODING: &str = "The content coding is not acceptable; a media type always is";

/// Describes the routes of a [`Feed`](feed_core::Feed) whose events have data like `D`.
#[must_use]
pub fn describe<D: JsonSchema>() -> Description {
    Description::of(
        "Feed",
        "An Atom feed of events, and the events with their data",
        [
            subscription(),
            raw(),
            page(),
            batch(),
            event::<D>(),
            schema(),
            status(),
            stream(),
        ],
    )
}

fn subscription() -> Operation {
    let about = "Poll with the `ETag` of the last answer. Catch up from a cursor with `after`. With \
                 `type`, `subject` or both, these are the events that match; without `after`, \
                 `before` pages through them. Clients that accept none of the media types get \
                 Atom. With `Prefer: event-data`, Atom contains the data of events; as CloudEvents, \
                 `Link: rel=\"next\"` is the address of the events after them.";
    let header = |name, about| Parameter::header(name, about, Schema::text());
    let wait = "`wait=N`: if `If-None-Match` matches, or nothing is after the cursor, the answer \
                is held back for up to `N` seconds (at most 30), until a new event arrives that \
                matches. After a cursor, without data and without a filter, a shared cache may keep \
                that answer for seconds. `event-data`: Atom with the data of events (RFC 7240); with `partitions=\"0 4\"`, \
                 after a cursor, of those in these partitions of 16";
    let delta = "`feed`, with `Prefer: wait=N`, or for a form with data: the new entries only, as a `226` (RFC 3229)";
    let query = query().into_iter().fold(
        Operation::get("/feed", "feed", "The newest events").about(about),
        |feed, (name, about, schema)| {
            feed.parameter(Parameter::query(name, about, Schema::literal(schema)))
        },
    );
    query
        .parameter(header("Prefer", wait))
        .parameter(header("A-IM", delta))
        .answer(with_data(document(
            200,
            "The newest events, or those after the cursor; of these, what matches",
        )))
        .answer(with_data(feed_document(
            226,
            "The entries after the cursor of the `ETag`",
        )))
        .answer(
            Answer::new(
                303,
                "The page that contains the next event after the cursor",
            )
            .header("Location", "The page, relative to this address"),
        )
        .sometimes_conditional()
        .problem(
            400,
            "A parameter is unknown or malformed, cannot be combined with the others, or is a type or subject \
             that no event can have",
        )
        .problem(406, NO_CODING)
        .problem(
            410,
            "The cursor is not a position in this feed; `oldest` and `newest` are",
        )
}

/// The parameters of `/feed`: name, meaning, schema.
pub(super) fn query() -> [(&'static str, &'static str, Value); 4] {
    let text = json!({"type": "string"});
    // Of 1 to 2,000 bytes: one that no event can have is refused.
    let name = json!({"type": "string", "minLength": 1, "maxLength": 2_000});
    [
        ("after", "A cursor from a feed document, or `start`", text),
        ("type", "The type of events: `order.placed`", name.clone()),
        ("subject", "What events are about: `order/17`", name),
        ("before", "Only events before that one", number()),
    ]
}

fn raw() -> Operation {
    Operation::get(
        "/feed.atom",
        "atom",
        "The newest events, as Atom for browsers",
    )
    .answer(Answer::new(200, "The newest events").content(ATOM, Schema::text()))
    .conditional()
    .problem(400, "It takes no parameters")
    .problem(406, NO_CODING)
}

fn page() -> Operation {
    Operation::get("/feed/{epoch}/{page}", "page", "A fixed range of events")
        .about("It is immutable once the next page is full.")
        .parameter(epoch())
        .parameter(Parameter::path(
            "page",
            "The number of the page",
            Schema::literal(number()),
        ))
        .answer(document(200, "The page"))
        .conditional()
        .problem(400, "It takes no parameters")
        .problem(404, "There is no such page, or not yet")
        .problem(406, NO_CODING)
        .problem(410, "All events of the page were deleted from the database")
}

fn batch() -> Operation {
    let range = json!({"type": "string", "pattern": "^[1-9][0-9]*-[1-9][0-9]*$"});
    Operation::get(
        "/feed/{epoch}/batch/{range}",
        "batch",
        "Events with their data",
    )
    .about("The target of `Link: rel=related` in a feed document.")
    .parameter(epoch())
    .parameter(Parameter::path(
        "range",
        "The first and the last of them: `1-100`",
        Schema::literal(range),
    ))
    .answer(
        Answer::new(
            200,
            "The events; one whose data would break the document is only at its own address",
        )
        .content(BATCH, Schema::of::<Vec<CloudEvent>>()),
    )
    .problem(400, "It takes no parameters")
    .problem(404, "There are no such events")
    .problem(
        406,
        "The media type or the content coding is not acceptable",
    )
}

fn event<D: JsonSchema>() -> Operation {
    let about = "The event: its data, with the other attributes in headers; or all in one";
    let attributes = [
        "ce-specversion",
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-subject",
        "ce-time",
    ];
    let event = attributes
        .into_iter()
        .chain(["ce-sequence", "ce-traceparent", "ce-dataschema"])
        .fold(Answer::new(200, about), |event, name| {
            event.optional_header(name, "The attribute of the event")
        });
    let id = json!({"type": "string", "format": "uuid"});
    Operation::get("/events/{id}", "event", "One event, which never changes")
        .parameter(Parameter::path(
            "id",
            "The event's id; a feed document has it after `urn:uuid:`",
            Schema::literal(id),
        ))
        .answer(
            event
                .json(Schema::of::<D>())
                .content(STRUCTURED, Schema::of::<CloudEvent>()),
        )
        .problem(400, "It takes no parameters")
        .problem(404, "There is no such event, or its data cannot be read")
}

fn schema() -> Operation {
    let example = "The type of events: `order.placed`";
    Operation::get(
        "/feed/schemas/{type}",
        "schema",
        "The JSON Schema of the data of an event type",
    )
    .parameter(Parameter::path("type", example, Schema::text()))
    .answer(
        Answer::new(200, "The schema").content("application/schema+json", Schema::of::<Value>()),
    )
    .conditional()
    .problem(400, "It takes no parameters")
    .problem(404, "The type has no schema")
    .problem(406, NO_CODING)
}

fn status() -> Operation {
    let about = "Rows of the outbox or the log that could not be published or served as they were are in \
                 quarantine, until an operator corrects or deletes them. All other events are published.";
    Operation::get(
        "/feed/status",
        "feed-status",
        "Status of the publishing side",
    )
    .about(about)
    .answer(
        Answer::new(200, "The newest sequence, and the rows in quarantine")
            .json(Schema::of::<Status>()),
    )
    .problem(400, "It takes no parameters")
}

fn stream() -> Operation {
    let about = "The read half of the protocol Durable Streams (JSON mode): its clients follow the feed as \
                 they are. A message is an event as CloudEvent.";
    let offset =
        "The `Stream-Next-Offset` of the answer before, `-1` for the first message, or `now`";
    let last = "With `live=sse`: the `id` of the last event, as an `EventSource` sends it. Counts instead of `offset`";
    let live = "`long-poll` waits up to 20 seconds for a message; `sse` sends them as server-sent events, \
                for a minute. Both need an `offset`";
    let query = |name, about| Parameter::query(name, about, Schema::text());
    let described = |answer: Answer| {
        answer
            .header("Stream-Next-Offset", "The offset after the last message")
            .optional_header("Stream-Up-To-Date", "`true`, if there are no more yet")
            .optional_header(
                "Stream-Cursor",
                "After a wait: a number to send back as `cursor`",
            )
    };
    let messages = Answer::new(200, "The messages after the offset, up to a thousand")
        .optional_header(
            "Stream-Next-Offset",
            "Not with server-sent events, which contain it",
        )
        .content("text/event-stream", Schema::text());
    Operation::get("/feed/stream", "stream", "The events as a Durable Stream")
        .about(about)
        .parameter(query("offset", offset))
        .parameter(query("live", live))
        .parameter(query("cursor", "The `Stream-Cursor` of the answer before"))
        .parameter(Parameter::header("Last-Event-ID", last, Schema::text()))
        .answer(messages.json(Schema::of::<Vec<CloudEvent>>()))
        .sometimes_conditional()
        .answer(described(Answer::new(204, "No message came")))
        .problem(400, "A parameter is malformed or missing")
        .problem(406, NO_CODING)
        .problem(410, "The offset is not a position in this feed")
}

/// The number of an event or of a page.
fn number() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": LAST_SEQUENCE})
}

fn epoch() -> Parameter {
    let epoch = json!({"type": "string", "pattern": "^[0-9a-z]{8}$"});
    Parameter::path(
        "epoch",
        "The incarnation of the feed",
        Schema::literal(epoch),
    )
}

/// A feed document, for programs and for people.
fn document(status: u16, about: &'static str) -> Answer {
    feed_document(status, about).html()
}

/// A feed document for programs alone.
fn feed_document(status: u16, about: &'static str) -> Answer {
    Answer::new(status, about)
        .optional_header("Link", "The links of the document (RFC 8288)")
        .content(ATOM, Schema::text())
}

/// A document that may come with the data of its events.
fn with_data(document: Answer) -> Answer {
    document
        .optional_header("Preference-Applied", "The preferences that it follows")
        .optional_header(
            "Feed-Cursor",
            "With data: the cursor after the document, for `after`",
        )
        .content(BATCH, Schema::of::<Vec<CloudEvent>>())
}

/// The schema of an event, whatever its data is.
pub(super) fn cloud_event() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let types = settings.into_generator();
    types.into_root_schema_for::<CloudEvent>().to_value()
}

/// An event as `CloudEvents` 1.0, in the JSON format
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it describes what the feed writes")]
struct CloudEvent {
    specversion: String,
    /// The event's id: a UUID
    id: String,
    /// The feed that it comes from; never changes, even if the feed moves
    #[schemars(url)]
    source: String,
    /// What happened: `order.placed`
    #[schemars(rename = "type")]
    event_type: String,
    /// The subject of the event: `order/17`
    subject: String,
    /// When it happened, in UTC to the millisecond; never with a second 60
    #[schemars(extend("format" = "date-time"))]
    time: String,
    datacontenttype: String,
    /// The JSON Schema of the data
    #[schemars(with = "String", url)]
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<String>,
    /// The number of the event in the feed, as text without zeros before it: compare it as a number, since `9` comes
    /// before `10`
    #[schemars(pattern(r"^[1-9][0-9]*$"))]
    sequence: String,
    /// The W3C trace context of the request that caused it
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// The data that `/events/{id}` returns as JSON
    data: Value,
}
