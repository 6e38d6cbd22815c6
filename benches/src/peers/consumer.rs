//! The counterpart of our invoice service: it takes what the broker has, up to a batch, commits the
//! invoices, and acknowledges the messages after that. A message that comes again, because the
//! process died between the two, finds its claim.

use anyhow::{Context, Result};
use feed_core::Received;
use futures_util::{FutureExt, Stream, StreamExt};
use tracing::error;

use crate::bare::invoices::Invoices;

/// How many messages a broker sends ahead to a consumer that takes so many at once: some batches, so
/// that it never waits for one.
pub(super) fn ahead(batch: usize) -> usize {
    5 * batch
}

/// Where messages come from.
pub(super) trait Inbox: Send + 'static {
    /// What a batch is acknowledged by.
    type Receipt: Send;

    /// Waits for a message, and returns all that are there, but a batch at most.
    fn take(&mut self) -> impl Future<Output = Result<(Vec<Received>, Self::Receipt)>> + Send;

    /// Acknowledges all messages of a batch.
    fn acknowledge(&mut self, batch: Self::Receipt) -> impl Future<Output = Result<()>> + Send;
}

/// Ends at the first error, and its process with it: the next process gets again what was not
/// acknowledged.
pub(super) async fn run(mut inbox: impl Inbox, invoices: Invoices) {
    loop {
        if let Err(error) = batch(&mut inbox, &invoices).await {
            error!("{error:#}");
            return;
        }
    }
}

async fn batch(inbox: &mut impl Inbox, invoices: &Invoices) -> Result<()> {
    let (events, receipt) = inbox.take().await?;
    invoices.apply(events).await?;
    inbox.acknowledge(receipt).await
}

/// The next message, and those that have arrived behind it, but `most` of them.
pub(super) async fn arrived<M, E: std::error::Error + Send + Sync + 'static>(
    stream: &mut (impl Stream<Item = Result<M, E>> + Unpin),
    most: usize,
) -> Result<Vec<M>> {
    let closed = "the broker sends no more";
    let first = stream.next().await.context(closed)?;
    let mut messages = vec![first.context(closed)?];
    while messages.len() < most
        && let Some(Some(next)) = stream.next().now_or_never()
    {
        messages.push(next.context(closed)?);
    }
    Ok(messages)
}
