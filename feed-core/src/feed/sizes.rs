//! Bounds the data of events that one answer has in memory (I11): the database says its size before it is read.

use crate::database::Database;
use crate::event::Sequence;
use crate::store::Backend;

/// The approximate size of a document with data, in bytes, at which no more is added. A consumer takes documents of up to
/// 16 MiB.
pub(super) const LARGEST: usize = 8 * 1024 * 1024;

/// So many events are read without a question, which would be a query for each document of a reader that is nearly level. Each
/// has 1 MiB at most; only what a version without that limit has published may have more.
const UNASKED: usize = 8;

/// Returns how many of these events, from the first one on, have at most `most` bytes of data; at least one, if there is
/// one.
pub(super) async fn fitting<B: Backend>(
    database: &Database<B>,
    sequences: &[Sequence],
    most: usize,
) -> sqlx::Result<usize> {
    if sequences.len() <= UNASKED {
        return Ok(sequences.len());
    }
    let sizes = B::sizes(database.reader(), sequences);
    let mut total = 0;
    let too_much = database
        .statement(sizes)
        .await?
        .into_iter()
        .find(|(_, size)| {
            total += usize::try_from(*size).unwrap_or(0);
            total > most
        });
    Ok(match too_much {
        Some((first, _)) => sequences
            .partition_point(|sequence| *sequence < first)
            .max(1),
        None => sequences.len(),
    })
}
