//! Redacts URLs for logs and pages.

use url::Url;

use crate::consumer::sanitize::sanitize;

/// Returns a URL without its user and password.
pub(crate) fn redact_url(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    sanitize(url.as_str())
}

/// Returns it also without its query, which may contain a secret of a login.
pub(super) fn redact_query(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}{query}", redact_url(&bare))
}
