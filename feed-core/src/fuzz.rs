//! The fuzz targets for hand-written parsers of outside input, with the invariants for any input.
//! `cargo test` runs the same for a moment on mutations of real documents.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::Cursor;
pub use crate::consumer::fuzz::{answer, document};
pub use crate::feed::fuzz::{page, preferences};
pub use crate::http::fuzz::{conditions, credentials};

/// Parses a cursor; returns whether it is one.
///
/// # Panics
///
/// Panics if it has two spellings, or does not survive a round trip.
pub fn cursor(text: &str) -> bool {
    let Ok(cursor) = text.parse::<Cursor>() else {
        return false;
    };
    assert_eq!(cursor.to_string(), text, "a cursor has one spelling");
    assert_eq!(cursor.anchor.is_some(), cursor.sequence > 0);
    true
}

/// Parses lines as headers, `name: value`, and the rest after an empty line as a body.
///
/// # Panics
///
/// Panics if a result violates an invariant.
pub fn headers(message: &[u8]) {
    let end = message.windows(2).position(|two| two == b"\n\n");
    let (head, body) = message.split_at(end.unwrap_or(message.len()));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    conditions(&headers);
    preferences(&headers);
    answer(&headers, body.trim_ascii_start());
}

#[cfg(test)]
mod tests {
    use harness::mutate::{SOME, Seeds, mutations};

    use super::*;

    /// Fails if no mutation was accepted, or if all were.
    fn assert_some(taken: usize, tried: usize) {
        assert!(taken > tried / 100, "{taken} of {tried} were read");
        assert!(taken < tried, "all of {tried} were read");
    }

    #[test]
    fn documents() {
        let mut taken = 0;
        for bytes in mutations(&Seeds::of("document"), SOME) {
            taken += usize::from(document(&bytes).is_some());
        }
        assert_some(taken, SOME);
    }

    #[test]
    fn pages() {
        for bytes in mutations(&Seeds::of("page"), SOME) {
            page(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn cursors() {
        let mut taken = 0;
        for bytes in mutations(&Seeds::of("cursor"), 20 * SOME) {
            taken += usize::from(cursor(&String::from_utf8_lossy(&bytes)));
        }
        assert_some(taken, 20 * SOME);
    }

    #[test]
    fn messages() {
        for bytes in mutations(&Seeds::of("headers"), 5 * SOME) {
            headers(&bytes);
        }
    }

    #[test]
    fn files_of_credentials() {
        let mut taken = 0;
        for bytes in mutations(&Seeds::of("credentials"), 5 * SOME) {
            taken += usize::from(credentials(&String::from_utf8_lossy(&bytes)).is_some());
        }
        assert_some(taken, 5 * SOME);
    }
}
