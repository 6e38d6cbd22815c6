//! A door for fuzzing, open in tests and with the feature `fuzz`: what a reader would like.

use axum::http::HeaderMap;

use super::prefer::{A_IM, LONGEST_WAIT, PREFER, accepts_delta, wait};

/// Reads the preferences of a request.
///
/// # Panics
///
/// Something is wrong with what was read.
pub fn preferences(headers: &HeaderMap) {
    if let Some(wait) = wait(headers) {
        assert!(headers.contains_key(PREFER), "a wait that nobody asked for");
        assert!(wait.as_secs() <= LONGEST_WAIT);
    }
    if accepts_delta(headers) {
        let mut values = headers.get_all(A_IM).iter();
        let named = values.any(|value| {
            let lower = value.as_bytes().to_ascii_lowercase();
            lower.windows(4).any(|four| four == b"feed")
        });
        assert!(named, "a delta that nobody asked for");
    }
}
