//! Describes the events of a feed for programs: AsyncAPI 3 at `/asyncapi.json`.
//!
//! The crate `roas-asyncapi` (0.2) has types for the whole format; this document uses a dozen of its fields.

use std::collections::BTreeMap;

use axum::Router;
use feed_chassis::ServiceDescription;
use feed_chassis::openapi::{self, About, Answer, Description, Operation, Schema};
use feed_core::feed::{BATCH, STRUCTURED, schema_address};
use feed_core::http::BaseUrl;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::openapi::{cloud_event, query};

/// The newest version. Its messages have schemas of any format.
const VERSION: &str = "3.1.0";

/// The version of the bindings that add the method and the query of HTTP.
const HTTP_BINDING: &str = "0.3.0";

/// The name of the media type at IANA.
const MEDIA_TYPE: &str = "application/vnd.aai.asyncapi+json";

/// The message for events whose type has no schema.
const ANY: &str = "event";

/// The events of a feed.
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    /// The JSON Schema of the data of each event type, as in
    /// [`FeedSettings::schemas`](feed_core::FeedSettings::schemas).
    pub schemas: &'a BTreeMap<String, Value>,
    /// Whether there may be events of other types, with any data.
    pub others: bool,
}

/// Adds the descriptions of a service that publishes to its routes: OpenAPI at `/openapi.json`, as
/// [`openapi::described`], and AsyncAPI 3 at `/asyncapi.json`.
pub fn described(
    router: Router,
    description: Description,
    about: About,
    events: Events<'_>,
    base: &BaseUrl,
) -> Router {
    let router = openapi::described(router, description.with(itself()), about, base);
    ServiceDescription::new("/asyncapi.json", MEDIA_TYPE, write(about, events, base))
        .add_to(router, base)
}

/// Describes `/asyncapi.json` for OpenAPI.
fn itself() -> Description {
    let document = Operation::get("/asyncapi.json", "events", "The events of the feed")
        .answer(Answer::new(200, "AsyncAPI 3").content(MEDIA_TYPE, Schema::any_object()))
        .conditional();
    Description::of("Events", "What the feed publishes", [document])
}

/// The document, in reading order.
#[derive(Serialize)]
struct Document {
    asyncapi: &'static str,
    info: Value,
    servers: Value,
    channels: Value,
    operations: Value,
    components: Value,
}

/// Returns the text of the document.
fn write(about: About, events: Events<'_>, base: &BaseUrl) -> String {
    let document = Document {
        asyncapi: VERSION,
        info: json!({
            "title": about.title,
            "description": about.description,
            "version": about.version,
        }),
        servers: json!({"service": server(base.url())}),
        channels: json!({"feed": {
            "address": "/feed",
            "description": "The events of the service, in sequence. They stay there.",
            "messages": messages(events, base),
        }}),
        operations: json!({"publish": publish()}),
        components: json!({"securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }}),
    };
    serde_json::to_string(&document).expect("it has no maps but those of texts")
}

fn server(url: &Url) -> Value {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let mut server = json!({
        "host": format!("{host}{}", port.unwrap_or_default()),
        "protocol": url.scheme(),
        "description": "Credentials are needed only where the service asks for them.",
        "security": [
            {"$ref": "#/components/securitySchemes/basic"},
            {"$ref": "#/components/securitySchemes/bearer"},
        ],
    });
    // Without the slash at the end, since addresses of channels begin with one.
    let path = url.path().trim_end_matches('/');
    if !path.is_empty() {
        server["pathname"] = json!(path);
    }
    server
}

/// The operation of the service: it sends, also when readers fetch what it sends.
fn publish() -> Value {
    let query = query().into_iter().map(|(name, about, mut schema)| {
        schema["description"] = json!(about);
        (name.to_owned(), schema)
    });
    let query: Map<String, Value> = query.collect();
    let about = format!(
        "The service calls no reader: readers poll. With `Accept: {BATCH}` the answer is an array of these messages, \
         oldest first, and `Feed-Cursor` the cursor after them. Begin with `after=start`, keep the cursor in the \
         transaction of the effects, continue with `after=` and the cursor at the address that you know the feed by, and \
         send `Prefer: wait=20` to get new events at once. (`Link: rel=\"next\"` names the same below the public base URL, \
         which you may not reach and which may change: keep no address.) One event is at `/events/{{id}}`. \
         `sequence` is a number as text: `9` comes before `10`. New types and new fields may come: ignore those that you do not know."
    );
    json!({
        "action": "send",
        "channel": {"$ref": "#/channels/feed"},
        "summary": "Publish events, each once",
        "description": about,
        "bindings": {"http": {
            "method": "GET",
            "query": {"type": "object", "properties": query},
            "bindingVersion": HTTP_BINDING,
        }},
    })
}

/// The message of each event type, and that of all others.
fn messages(events: Events<'_>, base: &BaseUrl) -> Map<String, Value> {
    let mut messages = Map::new();
    if events.others || events.schemas.is_empty() {
        messages.insert(ANY.to_owned(), any_event(events.schemas));
    }
    for (event_type, schema) in events.schemas {
        let name = message_name(event_type);
        let message = event(event_type, &name, schema.clone(), base);
        messages.insert(name, message);
    }
    messages
}

/// A message of that type, whose data has that schema.
fn event(event_type: &str, name: &str, mut schema: Value, base: &BaseUrl) -> Value {
    let address = schema_address(base, event_type);
    let mut dialect = Value::Null;
    let mut schema_base = address.clone();
    if let Value::Object(schema) = &mut schema {
        // Keywords of the root of a schema: it is below the event's now.
        dialect = schema.remove("$schema").unwrap_or_default();
        if let Some(Value::String(id)) = schema.remove("$id") {
            schema_base = address.join(&id).unwrap_or(schema_base);
        }
    }
    let place = format!("#/channels/feed/messages/{name}/payload/schema/properties/data");
    relocate(&mut schema, &schema_base, &place);
    let mut event = cloud_event();
    event["properties"]["type"]["const"] = json!(event_type);
    event["properties"]["dataschema"]["const"] = json!(address.as_str());
    event["properties"]["data"] = schema;
    if let Some(required) = event["required"].as_array_mut() {
        required.push(json!("dataschema"));
    }
    let format = match dialect.as_str() {
        Some(draft) if draft.contains("draft-07") => {
            event["$schema"] = dialect;
            "draft-07"
        }
        _ => "draft-2020-12",
    };
    message(event_type, event, format)
}

/// A message of any type but these, with any data.
fn any_event(known: &BTreeMap<String, Value>) -> Value {
    let mut event = cloud_event();
    if !known.is_empty() {
        let known: Vec<&String> = known.keys().collect();
        event["properties"]["type"]["not"] = json!({"enum": known});
    }
    if let Value::Object(properties) = &mut event["properties"] {
        properties.remove("dataschema");
    }
    // It has no keywords of later drafts, and every tool reads this one.
    event["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    message(ANY, event, "draft-07")
}

fn message(name: &str, payload: Value, format: &str) -> Value {
    json!({
        "name": name,
        "contentType": STRUCTURED,
        "payload": {
            "schemaFormat": format!("application/schema+json;version={format}"),
            "schema": payload,
        },
    })
}

/// Lets the references within a schema, which has this base URL, lead to its new place in the document. References to
/// other documents become whole addresses.
fn relocate(schema: &mut Value, base: &Url, place: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Ok(target) = base.join(reference)
            {
                let pointer = target.fragment().unwrap_or_default();
                let mut document = target.clone();
                document.set_fragment(None);
                let is_pointer = pointer.is_empty() || pointer.starts_with('/');
                *reference = match document == *base && is_pointer {
                    true => format!("{place}{pointer}"),
                    false => target.into(),
                };
            }
            for value in object.values_mut() {
                relocate(value, base, place);
            }
        }
        Value::Array(values) => {
            for value in values {
                relocate(value, base, place);
            }
        }
        _ => {}
    }
}

/// Returns a name of the message that needs no escapes in a reference: the type, if it is like `order.placed`.
fn message_name(event_type: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(event_type.as_bytes()).collect();
    encoded.replace('%', "$")
}
