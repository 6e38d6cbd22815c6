//! Whether a service's description tells of all its routes, and of nothing else.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::Request;

use crate::{Answer, call};

/// Compares `/openapi.json` with what the routes of `router` answer to; returns the document.
/// `apart` are the routes for people alone.
///
/// # Panics
///
/// There is a difference.
pub async fn assert_described(router: &Router, apart: &[&str]) -> serde_json::Value {
    let answer = send(router, "GET", "/openapi.json").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let document = answer.json();
    let described = document["paths"].as_object().expect("paths");
    let routes = paths(router);
    for path in described.keys() {
        assert!(routes.contains(path), "{path} is described, and no route");
    }
    for path in routes.iter().filter(|path| !apart.contains(&path.as_str())) {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let told = described
                .get(path)
                .is_some_and(|path| path.get(method.to_lowercase()).is_some());
            let status = send(router, method, &path.replace(['{', '}'], ""))
                .await
                .status;
            assert_eq!(told, status != 405, "{method} {path} answers {status}");
        }
    }
    document
}

async fn send(router: &Router, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    call(router, request.body(Body::empty()).expect("a request")).await
}

/// The paths of a router's routes. It tells them nowhere but in its debug form.
fn paths(router: &Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let quoted = text.split('"').skip(1).step_by(2);
    let paths: BTreeSet<String> = quoted
        .filter(|text| text.starts_with('/') && !text.contains("__private"))
        .map(str::to_owned)
        .collect();
    assert!(paths.contains("/openapi.json"), "no paths in {text}");
    paths
}
