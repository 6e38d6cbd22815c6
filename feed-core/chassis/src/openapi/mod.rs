//! Describes a service for programs: OpenAPI 3.1 at `/openapi.json`.
//!
//! A description is in a file `openapi.rs` beside its routes; its schemas come from the serialized
//! types and from the validated rules. A service combines its own with those of the routers it
//! merges. Routes are declared apart from it, so that those of a service fit on a screen, and the
//! feed's do not depend on this crate; tests of each service compare the two.
//!
//! The crate `aide` reads schemars 1 in an alpha only (0.16); `utoipa` (6) needs a derive of its own
//! beside that of schemars.

mod description;
mod document;
mod operation;
mod problem;
mod schema;

use axum::Router;

use crate::service_description::ServiceDescription;
use feed_http::BaseUrl;

pub use description::{About, Description};
pub use operation::{Answer, Operation, Parameter};
pub use schema::{Fields, LINE, Schema};

/// Adds `/openapi.json` to the routes of a service, and a link to it to their answers.
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// use feed_chassis::openapi::{About, Answer, Description, Operation, Schema, described};
///
/// let routes = Router::new().route("/greeting", get(|| async { "\"hello\"" }));
/// let greeting = Operation::get("/greeting", "greeting", "A greeting")
///     .answer(Answer::new(200, "The greeting").json(Schema::of::<String>()));
/// let about = About { title: "Greetings", description: "It greets.", version: "1.0.0" };
/// let description = Description::of("Greetings", "What is said", [greeting]);
/// let routes = described(routes, description, about, &"https://shop.example/".parse()?);
/// # let _: Router = routes;
/// # Ok::<(), feed_http::InvalidBaseUrl>(())
/// ```
pub fn described(router: Router, description: Description, about: About, base: &BaseUrl) -> Router {
    let text = document::write(description.with(itself()), about, base);
    ServiceDescription::new("/openapi.json", "application/json", text).add_to(router, base)
}

/// Describes `/openapi.json` itself.
fn itself() -> Description {
    let document = Operation::get("/openapi.json", "description", "This description")
        .answer(Answer::new(200, "OpenAPI 3.1").json(Schema::any_object()))
        .conditional();
    Description::of("Description", "What there is here", [document])
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{HeaderMap, HeaderName, Request, StatusCode, header};
    use axum::routing::get;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    fn routes() -> Router {
        let greeting = Operation::post("/greeting", "greet", "Greet a client")
            .json(Schema::of::<String>())
            .answer(
                Answer::new(200, "The greeting")
                    .json(Schema::of::<String>())
                    .html(),
            );
        let about = About {
            title: "Greetings",
            description: "It greets.",
            version: "1.0.0",
        };
        let routes = Router::new().route("/greeting", get(|| async {}));
        let base = "https://shop.example/hello".parse().expect("a base URL");
        let description =
            Description::of("Greetings", "What is said", [greeting]).with(crate::describe_health());
        described(routes, description, about, &base)
    }

    async fn send(path: &str, name: HeaderName, value: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).header(name, value).body(Body::empty());
        let request = request.expect("a request");
        let answer = routes().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let body = String::from_utf8(body.to_vec()).expect("text");
        (parts.status, parts.headers, body)
    }

    #[tokio::test]
    async fn derived_answers_are_added() {
        let (status, _, text) = send("/openapi.json", header::ACCEPT, "*/*").await;
        assert_eq!(status, 200);
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["servers"][0]["url"], "https://shop.example/hello");
        let responses = &document["paths"]["/greeting"]["post"]["responses"];
        let statuses: Vec<_> = responses.as_object().expect("responses").keys().collect();
        assert_eq!(
            statuses,
            [
                "200", "401", "403", "406", "408", "413", "415", "431", "5XX"
            ]
        );
        let problem = &responses["415"]["content"]["application/problem+json"];
        let reference = json!({"$ref": "#/components/schemas/Problem"});
        assert_eq!(problem["schema"], reference);
        assert!(document["components"]["schemas"]["Problem"]["properties"]["errors"].is_object());
        assert!(document["paths"]["/openapi.json"]["get"].is_object());
        // Health checks need no credentials, and say so.
        let unauthorized = json!({"$ref": "#/components/responses/Unauthorized"});
        assert_eq!(responses["401"], unauthorized);
        let schemes = document["components"]["securitySchemes"].as_object();
        let schemes: Vec<_> = schemes.expect("schemes").keys().collect();
        assert_eq!(schemes, ["basic", "bearer"]);
        let live = &document["paths"]["/health/live"]["get"];
        assert_eq!(live["security"], json!([]));
        assert_eq!(live["responses"].get("401"), None);
    }

    #[tokio::test]
    async fn the_description_is_sent_once_and_linked_from_each_answer() {
        let (_, headers, _) = send("/openapi.json", header::ACCEPT, "*/*").await;
        let tag = headers["etag"].to_str().expect("a tag");
        let (status, headers, body) = send("/openapi.json", header::IF_NONE_MATCH, tag).await;
        assert_eq!((status.as_u16(), body.as_str()), (304, ""));
        assert_eq!(headers["cache-control"], "max-age=300");
        let (status, ..) = send("/openapi.json", header::IF_MATCH, "\"x\"").await;
        assert_eq!(status, 412);
        let (_, headers, _) = send("/greeting", header::ACCEPT, "*/*").await;
        let link = "</hello/openapi.json>; rel=\"service-desc\"; type=\"application/json\"";
        assert_eq!(headers["link"], link);
    }
}
