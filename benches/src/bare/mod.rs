//! The limits that are servers: as little as possible, behind the same listener and layers as the
//! services (`feed_chassis::serve`). Each is a process of its own, as the services are.

pub(crate) mod canned;
pub(crate) mod invoices;
mod orders;
pub(crate) mod relay;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use axum::Router;
use feed_chassis::{LogFormat, Mounted, listen, serve, start_logging, stop_signal};
use tokio_util::sync::CancellationToken;

use invoices::Invoices;
use relay::Relay;

pub(crate) use orders::Outbox;

/// Which limit.
#[derive(Debug, clap::Subcommand)]
#[command(hide = true)]
pub(crate) enum Command {
    /// Always the same answer
    #[command(hide = true)]
    Canned {
        /// The path, then the answer that was taken from the service
        file: PathBuf,
        /// Hold requests back until a POST to `/tell`
        #[arg(long)]
        wait: bool,
        #[arg(long, env)]
        listen: SocketAddr,
    },
    /// The order service without a feed
    #[command(hide = true)]
    Orders {
        #[arg(long, env)]
        database_url: String,
        #[arg(long, default_value = "none")]
        outbox: Outbox,
        #[arg(long, env)]
        listen: SocketAddr,
    },
    /// Invoices from a hand-written outbox
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        from: String,
        #[arg(long, env)]
        database_url: String,
        #[arg(long, env)]
        listen: SocketAddr,
    },
    #[cfg(feature = "peers")]
    #[command(flatten)]
    Peers(crate::peers::Command),
}

/// Runs one until it is stopped.
pub(crate) async fn run(command: Command) -> Result<()> {
    start_logging(LogFormat::Text);
    match command {
        Command::Canned { file, wait, listen } => {
            let router = match wait {
                true => canned::waiting(&file)?,
                false => canned::at_once(&file)?,
            };
            answer(listen, Mounted::new(router)).await
        }
        Command::Orders {
            database_url,
            outbox,
            listen,
        } => {
            let router = orders::router(&database_url, outbox, listen).await?;
            answer(listen, Mounted::new(router)).await
        }
        Command::Relay {
            from,
            database_url,
            listen,
        } => {
            let invoices = Invoices::open(&database_url).await?;
            let relay = Relay::open(&from, invoices).await?;
            work(listen, relay.run()).await
        }
        #[cfg(feature = "peers")]
        Command::Peers(command) => crate::peers::run(command).await,
    }
}

/// Runs `task`, and answers requests meanwhile.
pub(crate) async fn work(
    address: SocketAddr,
    task: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let service = Mounted::new(Router::new());
    answer(address, service.with_task(task)).await
}

async fn answer(address: SocketAddr, service: Mounted) -> Result<()> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone())?;
    let listener = listen(address, false).await?;
    Ok(serve(listener, service, shutdown).await?)
}
