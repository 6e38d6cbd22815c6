//! Writes a description as an OpenAPI document.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::description::{About, Description};
use super::operation::{Answer, Header, Operation, Parameter};
use super::schema::Schema;
use feed_http::BaseUrl;

/// What begins the paths that need no credentials and are described.
const OPEN: &str = "/health/";

/// The document, in reading order.
#[derive(Serialize)]
struct Document<'a> {
    openapi: &'a str,
    info: Value,
    servers: Value,
    tags: Vec<Value>,
    paths: BTreeMap<&'a str, Map<String, Value>>,
    security: Value,
    components: Value,
}

/// Returns the text of the document.
pub(super) fn write(description: Description, about: About, base: &BaseUrl) -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut types = settings
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut tags = Vec::new();
    for group in description.groups {
        tags.push(json!({"name": group.name, "description": group.about}));
        for operation in group.operations {
            let (path, method) = (operation.path, operation.method);
            let written = write_operation(operation, group.name, &mut types);
            paths
                .entry(path)
                .or_default()
                .insert(method.to_owned(), written);
        }
    }
    let failure = write_answer(failure(), &mut types);
    let unauthorized = write_answer(unauthorized(), &mut types);
    let forbidden = write_answer(forbidden(), &mut types);
    // Without the slash at the end, since paths begin with one.
    let server = base.url().as_str().trim_end_matches('/');
    let document = Document {
        openapi: "3.1.1",
        info: json!({
            "title": about.title,
            "description": about.description,
            "version": about.version,
        }),
        servers: json!([{"url": server}]),
        tags,
        paths,
        // No credentials, if the service requires none; otherwise either scheme.
        security: json!([{}, {"basic": []}, {"bearer": []}]),
        components: json!({
            "schemas": types.take_definitions(true),
            "responses": {
                "Failure": failure,
                "Unauthorized": unauthorized,
                "Forbidden": forbidden,
                "HeadTooLarge": {
                    "description": "The head of the request, its address included, is larger than 16 KiB",
                },
            },
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Name and password, where the service asks for credentials. Those for \
                                    reading give the feed, `/metrics` and the descriptions; those for \
                                    operating give everything",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token in place of name and password",
                },
            },
        }),
    };
    serde_json::to_string(&document).expect("it has no maps but those of texts")
}

/// Returns the answer that any operation may have.
fn failure() -> Answer {
    Answer::new(
        503,
        "`503`: the service cannot answer right now. `500`: it failed, and has logged why",
    )
    .optional_header("Retry-After", "When it may work, in seconds")
    .problem()
}

/// Returns the answer to a request without credentials where the service asks for them.
fn unauthorized() -> Answer {
    Answer::new(
        401,
        "The request shows no credentials that the service knows",
    )
    .header("WWW-Authenticate", "The schemes that the service takes")
    .problem()
}

/// Returns the answer to a request whose credentials do not suffice.
fn forbidden() -> Answer {
    Answer::new(403, "The credentials are for reading the feed").problem()
}

fn write_operation(
    mut operation: Operation,
    tag: &'static str,
    types: &mut SchemaGenerator,
) -> Value {
    let is_open = operation.path.starts_with(OPEN);
    let answers = &operation.answers;
    let negotiated = answers
        .iter()
        .any(|answer| answer.is_success() && answer.contents.len() > 1);
    if negotiated && answers.iter().all(|answer| answer.status != 406) {
        operation = operation.problem(406, "None of the media types is acceptable");
    }
    if !operation.bodies.is_empty() {
        operation = operation
            .problem(408, "The body did not arrive in time")
            .problem(413, "The body is too large")
            .problem(415, "The body is of another media type");
    }
    let parameters = operation.parameters.into_iter();
    let parameters: Vec<_> = parameters
        .map(|parameter| write_parameter(parameter, types))
        .collect();
    let mut responses = Map::new();
    for answer in operation.answers {
        let status = answer.status.to_string();
        let twice = responses.insert(status, write_answer(answer, types));
        debug_assert_eq!(twice, None, "{} has two answers of a status", operation.id);
    }
    let answer = |name: &str| json!({"$ref": format!("#/components/responses/{name}")});
    if !is_open {
        responses.insert("401".to_owned(), answer("Unauthorized"));
        // A page of another site is refused by the same status.
        let forbidden = responses.entry("403");
        forbidden.or_insert_with(|| answer("Forbidden"));
    }
    responses.insert("431".to_owned(), answer("HeadTooLarge"));
    responses.insert("5XX".to_owned(), answer("Failure"));
    let mut written = json!({
        "operationId": operation.id,
        "tags": [tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if !operation.about.is_empty() {
        written["description"] = json!(operation.about);
    }
    if is_open {
        written["security"] = json!([]);
    }
    if !operation.bodies.is_empty() {
        let content = write_contents(operation.bodies, types);
        written["requestBody"] = json!({"required": true, "content": content});
    }
    written
}

fn write_parameter(parameter: Parameter, types: &mut SchemaGenerator) -> Value {
    json!({
        "in": parameter.place,
        "name": parameter.name,
        "description": parameter.about,
        // A parameter in the path is always required.
        "required": parameter.place == "path",
        "schema": parameter.schema.write(types),
    })
}

fn write_answer(answer: Answer, types: &mut SchemaGenerator) -> Value {
    let mut written = json!({"description": answer.about});
    if !answer.headers.is_empty() {
        let headers = answer.headers.into_iter();
        let headers: Map<String, Value> = headers.map(write_header).collect();
        written["headers"] = Value::Object(headers);
    }
    if !answer.contents.is_empty() {
        written["content"] = write_contents(answer.contents, types);
    }
    written
}

fn write_header(header: Header) -> (String, Value) {
    let written = json!({
        "description": header.about,
        "required": header.always,
        "schema": {"type": "string"},
    });
    (header.name.to_owned(), written)
}

fn write_contents(contents: Vec<(&'static str, Schema)>, types: &mut SchemaGenerator) -> Value {
    let contents = contents.into_iter();
    let contents: Map<String, Value> = contents
        .map(|(media_type, schema)| {
            let schema = schema.write(types);
            (media_type.to_owned(), json!({"schema": schema}))
        })
        .collect();
    Value::Object(contents)
}
