//! Errors between the demo and the shop, and what to do about them.

use std::time::Duration;

use feed_core::consumer::printable;
use feed_core::http::BaseUrl;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use serde_json::Value;

/// Why the shop did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShopError {
    /// It has never answered.
    #[error(
        "no shop answers at {0}: start one with `cargo run`, or set its address with --url ({1})"
    )]
    NoShop(BaseUrl, String),
    /// It has answered before, or announced that it will soon.
    #[error(
        "the shop has been away for {seconds} s ({1}): check its log, and restart it",
        seconds = .0.as_secs()
    )]
    Away(Duration, String),
    /// It refuses the request.
    #[error(transparent)]
    Refused(Refusal),
    /// The answer is not that of a shop.
    #[error("{0} answers, but not as a shop of this version does ({1}): is that its base URL?")]
    Strange(BaseUrl, String),
    /// Ctrl-C has stopped it.
    #[error("stopped before all orders were placed")]
    Stopped,
    /// The handler for Ctrl-C cannot be installed.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// This machine has no certificates of authorities.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
}

/// A request that the shop refuses.
#[derive(Debug, thiserror::Error)]
#[error("the shop refuses {what} with {}. {remedy}", self.reason())]
pub(super) struct Refusal {
    what: &'static str,
    status: StatusCode,
    detail: String,
    remedy: String,
}

impl Refusal {
    /// The refusal in an answer of this status, headers and body.
    pub(super) fn read(
        what: &'static str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        Self {
            what,
            status,
            // Any server may be at this address.
            detail: printable(&detail(status, body)).into_owned(),
            remedy: remedy(status, headers),
        }
    }

    /// The status, and the server's reason.
    pub(super) fn reason(&self) -> String {
        format!("{}: {}", self.status.as_u16(), self.detail)
    }
}

/// The server's reason: a problem document (RFC 9457), or just its status.
fn detail(status: StatusCode, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let fields: Vec<String> = problem["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| {
            Some(format!(
                "{}: {}",
                error["field"].as_str()?,
                error["message"].as_str()?
            ))
        })
        .collect();
    if !fields.is_empty() {
        return fields.join(" ").trim_end_matches('.').to_owned();
    }
    let reason = problem["detail"].as_str().or(problem["title"].as_str());
    let reason = reason
        .or(status.canonical_reason())
        .unwrap_or("nothing more");
    reason.trim_end_matches('.').to_owned()
}

/// What the user can do about it.
fn remedy(status: StatusCode, headers: &HeaderMap) -> String {
    let location = headers.get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    match (status.as_u16(), location) {
        (301 | 302 | 307 | 308, Some(location)) => {
            format!("It redirects to {location}: set the shop's address with --url")
        }
        (401 | 403, _) => "Set a file with `operate` credentials: --credentials-file".into(),
        (404..=406, _) => {
            "Is that a shop? --url takes its base URL, such as http://127.0.0.1:8080/".into()
        }
        (409 | 422, _) => "The shop may have changed meanwhile: try again".into(),
        _ => "See the log of the shop".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, location: Option<&'static str>, body: &str) -> String {
        let status = StatusCode::from_u16(status).expect("a status");
        let location = location.map(|url| (header::LOCATION, url.parse().expect("a value")));
        let headers = HeaderMap::from_iter(location);
        Refusal::read("an order", status, &headers, body.as_bytes()).to_string()
    }

    #[test]
    fn a_refusal_repeats_the_reason_of_the_shop() {
        let errors = r#"{"title": "The order is not valid", "detail": "see `errors` for each field",
            "errors": [{"field": "customer", "message": "There is no customer 9."},
                       {"field": "orderLine", "message": "An order has 1 to 1,000 lines."}]}"#;
        for (status, location, body, expected) in [
            (
                422,
                None,
                errors,
                "the shop refuses an order with 422: customer: There is no customer 9. orderLine: \
                 An order has 1 to 1,000 lines. The shop may have changed meanwhile: try again",
            ),
            (
                500,
                None,
                r#"{"title": "The service failed", "detail": "the fault is ours"}"#,
                "with 500: the fault is ours. See the log of the shop",
            ),
            (
                418,
                None,
                r#"{"title": "A teapot"}"#,
                "with 418: A teapot. See",
            ),
            (
                404,
                None,
                "<h1>nginx</h1>",
                "with 404: Not Found. Is that a shop?",
            ),
            (599, None, "", "with 599: nothing more. See"),
            (
                400,
                None,
                "{\"detail\": \"evil \u{9b}31m\u{202e}\\u001b[2J\\nOK\"}",
                r"with 400: evil \u{9b}31m\u{202e}\u{1b}[2J\nOK. See",
            ),
            (
                301,
                Some("https://shop.example/"),
                "",
                "with 301: Moved Permanently. It redirects to https://shop.example/: set the shop's address",
            ),
        ] {
            let text = refusal(status, location, body);
            assert!(text.contains(expected), "{text}");
        }
    }
}
