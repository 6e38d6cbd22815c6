//! A door for the workspace's benchmarks, open with the feature `bench` alone: it reads a page as a
//! consumer does.

use url::Url;

use super::source::document::Document;
use super::source::entry::InvalidDocument;

/// Reads a document, and says how many entries it has.
///
/// # Errors
///
/// It is no document that a consumer could take.
pub fn read(body: &[u8], read_from: Url) -> Result<usize, InvalidDocument> {
    Document::read(body, None, read_from).map(|document| document.entries.len())
}
