//! One server, until it is stopped.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use feed_chassis::{Mounted, listen, serve, stop_signal};
use tokio_util::sync::CancellationToken;

/// Runs `task`, and answers requests meanwhile.
pub(crate) async fn work(
    address: SocketAddr,
    task: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let service = Mounted::new(Router::new());
    answer(address, service.with_task(task)).await
}

/// Answers requests.
pub(super) async fn answer(address: SocketAddr, service: Mounted) -> Result<()> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone())?;
    let listener = listen(address, false).await?;
    Ok(serve(listener, service, shutdown).await?)
}
