//! A complete answer, classified as a document, data, or an error.

use std::borrow::Cow;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use serde::Deserialize;
use url::Url;

use super::body;
use super::charset::{Undecodable, decode};
use super::document::Document;
use super::entry::InvalidDocument;
use super::fetch_error::FetchError;
use super::header::{from_header, retry_after};
use super::option_names::FeedOptionNames;
use super::request::is_refused;
use crate::consumer::sanitize::sanitize;
use crate::partition::Partitions;

/// A complete answer.
pub(super) struct Answer {
    /// Where it came from, after redirects.
    pub(super) url: Url,
    /// The same URL in the form for errors.
    pub(super) name: String,
    /// True if a proxy may have produced it.
    pub(super) proxied: bool,
    /// The URL for future requests.
    pub(super) moved: Option<Url>,
    /// What the operator calls our settings.
    pub(super) names: FeedOptionNames,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn into_document(self) -> Result<Document, FetchError> {
        self.into_document_of(None)
    }

    /// Reads a document that was asked for some partitions only, or for all if it is `None`.
    pub(super) fn into_document_of(
        self,
        share: Option<Partitions>,
    ) -> Result<Document, FetchError> {
        match self.status {
            StatusCode::OK | StatusCode::IM_USED => {
                let content_type = self.content_type();
                let read = Document::read(&self.body, content_type.as_deref(), self.url.clone());
                let read = read.and_then(|document| match document.is_filtered() {
                    true => Err(InvalidDocument::Filtered(self.names.feed_url)),
                    // Also the answer to another instance, which a cache must not have kept.
                    false if document.omits_of(share) => Err(InvalidDocument::Contradiction(
                        "it omits events that were asked for".to_owned(),
                    )),
                    false => Ok(document),
                });
                read.map_err(|cause| {
                    let url = self.name;
                    match body::instead_of_a_feed(&self.headers, &self.body, self.names) {
                        Some(found) => FetchError::NotAFeed { url, found },
                        None => FetchError::Document { url, cause },
                    }
                })
            }
            _ => Err(self.into_error("")),
        }
    }

    fn content_type(&self) -> Option<String> {
        self.headers.get(header::CONTENT_TYPE).map(from_header)
    }

    pub(super) fn text(&self) -> Result<String, Undecodable> {
        decode(&self.body, self.content_type().as_deref()).map(Cow::into_owned)
    }

    pub(super) fn into_error(self, detail: &str) -> FetchError {
        let status = self.status.as_u16();
        let detail = match status {
            407 => &format!(
                "a proxy on the way asks for a user and a password; {} sets them",
                self.names.proxy
            ),
            511 => {
                "the network asks for a login first (a captive portal); log in to it, or have this \
                 machine exempted"
            }
            _ => detail,
        };
        let detail = problem_detail(&self.body).unwrap_or_else(|| detail.to_owned());
        let url = self.name;
        let retry_after = retry_after(&self.headers);
        // Some servers limit their requests by a 403; one about credentials names no time.
        let is_limit = self.status == StatusCode::FORBIDDEN && retry_after.is_some();
        if is_refused(self.status) && !is_limit {
            let ours = self.names.credentials;
            let needs = match self.proxied && self.status == StatusCode::FORBIDDEN {
                true => format!(
                    "the feed needs other credentials than ours ({ours}), or the proxy does not let us \
                     reach it"
                ),
                false => format!("it needs other credentials than ours ({ours})"),
            };
            return FetchError::Refused {
                url,
                status,
                needs,
                detail,
            };
        }
        FetchError::Status {
            url,
            status,
            detail,
            retry_after,
        }
    }
}

/// Returns the `detail` of a problem document (RFC 9457). Skips all other members without building
/// them: a JSON value takes many times the memory of its text.
pub(crate) fn problem_detail(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(sanitize(&problem.detail))
}
