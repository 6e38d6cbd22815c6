//! The schema of a problem.

use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// Problem details (RFC 9457). A browser gets the same as a page
#[derive(JsonSchema)]
#[schemars(rename = "Problem", transform = with_errors)]
#[expect(dead_code, reason = "it describes what `feed_http::Problem` writes")]
pub(super) struct ProblemDocument {
    /// The kind of problem: a URI that stays the same for ever
    #[schemars(rename = "type", extend("format" = "uri"))]
    kind: String,
    /// The kind of problem, for people
    title: String,
    /// The status code of the answer
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What happened this time, for people
    detail: String,
    #[schemars(flatten)]
    members: serde_json::Map<String, Value>,
}

/// Adds the member that services use if a body is wrong.
fn with_errors(schema: &mut Schema) {
    let errors = json!({
        "description": "What is wrong with a body, field by field",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "field": {"description": "The field, as a path in the body: `lines[2].count`", "type": "string"},
                "message": {"description": "What is wrong with it, for people", "type": "string"},
            },
            "required": ["field", "message"],
        },
    });
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.insert("errors".to_owned(), errors);
    }
}
