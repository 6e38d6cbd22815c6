//! Lets the workspace's benchmarks read a page as a consumer does. It exists only with the feature
//! `bench`.

use url::Url;

use super::source::document::Document;
use super::source::entry::InvalidDocument;

/// Parses a document and returns the number of its entries.
///
/// # Errors
///
/// Returns an error if a consumer would reject the document.
pub fn read(body: &[u8], read_from: Url) -> Result<usize, InvalidDocument> {
    Document::read(body, None, read_from).map(|document| document.entries.len())
}
