//! `/asyncapi.json` of both programs that publish: the parser of AsyncAPI reads it, and what is published is what it says.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Backend, Client, Service, built, new_order, programs, until};
use serde_json::{Value, json};

use crate::feed::{Running, database, publish, serve};

const BATCH: [(&str, &str); 1] = [("accept", "application/cloudevents-batch+json")];

async fn events(feed: &Client) -> Vec<Value> {
    let events = feed.get("feed?after=start", &BATCH).await.json();
    events.as_array().unwrap().clone()
}

async fn published(feed: &Client, count: usize) -> Vec<Value> {
    until("the events are in the feed", async || {
        let events = events(feed).await;
        (events.len() == count).then_some(events)
    })
    .await
}

/// The messages of the document, in its order.
fn messages(document: &Value) -> Vec<(&String, &Value)> {
    let messages = document["channels"]["feed"]["messages"].as_object();
    messages.unwrap().iter().collect()
}

/// The schema of each event type is the one that is served, with its references moved.
async fn has_the_schemas_that_are_served(feed: &Client, document: &Value, types: &[&str]) {
    let mut with_schema = Vec::new();
    for (name, message) in messages(document) {
        let properties = &message["payload"]["schema"]["properties"];
        let Some(address) = properties["dataschema"]["const"].as_str() else {
            continue;
        };
        let event_type = properties["type"]["const"].as_str().unwrap();
        let served = feed.get(address, &[]).await.json();
        let place = format!("\"#/channels/feed/messages/{name}/payload/schema/properties/data");
        let moved = properties["data"].to_string().replace(&place, "\"#");
        let mut moved: Value = serde_json::from_str(&moved).unwrap();
        for keyword in ["$schema", "$id"] {
            if let Some(value) = served.get(keyword) {
                moved[keyword] = value.clone();
            }
        }
        assert_eq!(moved, served, "{event_type}");
        with_schema.push(event_type);
    }
    assert_eq!(with_schema, types);
}

/// The parser from npm accepts the document, and each event is the message of its type.
async fn is_what_is_published(feed: &Client, events: &[Value]) {
    assert_eq!(parsed(feed, events).await.unwrap_or_default(), "");
}

/// What the parser finds wrong in the document and in these events; nothing where `tests/run` could not install it.
async fn parsed(feed: &Client, events: &[Value]) -> Option<String> {
    let packages = programs::installed("asyncapi")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("languages/asyncapi/check.mjs");
    let document = feed.get("asyncapi.json", &[]).await.body;
    let input = json!({"document": document, "events": events}).to_string();
    let checked = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.arg(script).current_dir(packages).stdin(Stdio::piped());
        node.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut node = node.spawn().unwrap();
        let mut stdin = node.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        node.wait_with_output().unwrap()
    });
    let checked = checked.await.unwrap();
    let found = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.success(), found.is_empty(), "{found}");
    Some(found)
}

/// Also what is left of an event when its customer is erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_the_order_service_are_as_described() {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.start().await;
    let feed = &order.client;
    for _ in 0..2 {
        feed.post_json("orders", &new_order()).await.unwrap();
    }
    feed.post_form("order/1/cancel", &[]).await;
    let mut all = published(feed, 3).await;
    let mut erase = built("order");
    let customer = new_order()["customer"].to_string();
    erase
        .args(["erase", "--by", "eve", "--customer", &customer])
        .env("DATABASE_URL", order.database.url())
        .env("BASE_URL", feed.url(""));
    programs::succeed(erase).await;
    all.extend(published(feed, 5).await);

    let document = feed.get("asyncapi.json", &[]).await;
    let document = document.json();
    let server = &document["servers"]["service"];
    let address = format!(
        "{}://{}",
        server["protocol"].as_str().unwrap(),
        server["host"].as_str().unwrap()
    );
    let path = document["channels"]["feed"]["address"].as_str().unwrap();
    assert_eq!(format!("{address}{path}"), feed.url("feed"));
    let types = ["order.cancelled", "order.erased", "order.placed"];
    has_the_schemas_that_are_served(feed, &document, &types).await;
    is_what_is_published(feed, &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_a_schema_are_described() {
    let database = database(Backend::Sqlite).await;
    let feed = serve(&database).await;
    publish(&database, "order/1", "{\"id\": 1}").await;
    publish(&database, "order/2", "null").await;
    let published = published(&feed.client, 2).await;
    is_what_is_published(&feed.client, &published).await;
}

/// Schemas of two drafts, with references of their own, and an event type that a reference has to escape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schemas_of_a_directory_are_described() {
    let directory = tempfile::tempdir().unwrap();
    let schemas = [
        (
            "order.placed",
            json!({
                "$id": "https://shop.example/order.json",
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "required": ["id"],
                "properties": {"id": {"$ref": "#/$defs/id"}, "items": {"items": {"$ref": "#"}}},
                "$defs": {"id": {"type": "integer"}},
            }),
        ),
        (
            "order ~ dropped 50%",
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "properties": {"id": {"$ref": "#/definitions/id"}},
                "definitions": {"id": {"type": "integer"}},
            }),
        ),
    ];
    for (event_type, schema) in &schemas {
        let file = directory.path().join(format!("{event_type}.json"));
        std::fs::write(file, schema.to_string()).unwrap();
    }
    let database = database(Backend::Sqlite).await;
    let path = directory.path().to_str().unwrap();
    let arguments = ["serve", "--database-url", database.url(), "--schemas", path];
    let feed = Running::start(&arguments).await;
    let data = "{\"id\": 1, \"items\": [{\"id\": 2}]}";
    for event_type in ["order.placed", "order ~ dropped 50%", "order.lost"] {
        let sql = "INSERT INTO feed_outbox (event_type, subject, data) VALUES";
        let sql = format!("{sql} ('{event_type}', 'order/1', '{data}')");
        database.execute(&sql).await;
    }
    let published = published(&feed.client, 3).await;
    let document = feed.client.json("asyncapi.json").await.unwrap();
    let types = ["order ~ dropped 50%", "order.placed"];
    has_the_schemas_that_are_served(&feed.client, &document, &types).await;
    is_what_is_published(&feed.client, &published).await;
    // What breaks its schema is no message.
    let wrong = [json!({"id": "one"}), json!({"id": 1, "items": [{}]})];
    for data in wrong {
        let mut event = published[0].clone();
        event["data"] = data;
        let found = parsed(&feed.client, &[event]).await;
        assert!(found.is_none_or(|found| found.contains("is []")));
    }
}
