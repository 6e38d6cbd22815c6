//! Whether a service's description has all its routes, and nothing else.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::Request;

use crate::{Answer, call};

/// Endings of the names of resources that belong to pages.
const OF_PAGES: [&str; 4] = [".html", ".css", ".js", ".svg"];

/// Compares `/openapi.json` with the routes of `router`; returns the document. `apart` are pages
/// for people alone.
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
    let of_pages = |path: &str| OF_PAGES.iter().any(|end| path.ends_with(end));
    for path in routes {
        if apart.contains(&&*path) || of_pages(&path) {
            continue;
        }
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_described = described
                .get(&path)
                .is_some_and(|path| path.get(method.to_lowercase()).is_some());
            let status = send(router, method, &path.replace(['{', '}'], ""))
                .await
                .status;
            assert_eq!(
                is_described,
                status != 405,
                "{method} {path} answers {status}"
            );
        }
    }
    document
}

async fn send(router: &Router, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    call(router, request.body(Body::empty()).expect("a request")).await
}

/// The paths of a router's routes. Only its debug form has them.
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
