//! Addresses as they may be shown, in logs and on pages.

use url::Url;

use crate::consumer::sanitize::sanitize;

/// An address as it may be shown: without what it is protected by.
pub(crate) fn redact_url(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    sanitize(url.as_str())
}

/// The same without its query, which may be a secret of somebody who logs in.
pub(super) fn redact_query(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}{query}", redact_url(&bare))
}
