//! The limits that are servers: as little as possible, behind the same listener and layers as the
//! services (`feed_chassis::serve`). Each is a process of its own, as the services are.

pub(crate) mod canned;
pub(crate) mod invoices;
mod orders;
pub(crate) mod relay;
pub(crate) mod server;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use feed_chassis::{LogFormat, Mounted, start_logging};

use invoices::Invoices;
use relay::{BATCH, Relay};
use server::{answer, work};

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
            let relay = Relay::open(&from, invoices, BATCH).await?;
            work(listen, relay.run()).await
        }
        #[cfg(feature = "peers")]
        Command::Peers(command) => crate::peers::run(command).await,
    }
}
