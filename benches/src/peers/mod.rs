//! Others in the place of the feed, as a team would put them there. With a broker, the order service
//! writes to an outbox (`bare::orders`), a relay publishes it and waits for the broker's
//! confirmations, and a consumer acknowledges messages after it has committed their invoices
//! (`bare::invoices`). With `PgQ`, the consumer reads a queue in the order database. Orders, effect and
//! databases are ours; what lies between is the peer's.
//!
//! No peer is handicapped: publishing and acknowledging wait for no message alone, more messages than
//! a batch has are on their way to the consumer, and each has the size of batches that is best for
//! it. Settings are those that its package comes with, except where a label or `broker` says so.

mod broker;
mod consumer;
mod message;
mod nats;
mod pgq;
mod rabbitmq;
pub(crate) mod shop;
mod usage;

use std::net::SocketAddr;

use anyhow::{Result, bail};

use crate::bare::Outbox;
use crate::bare::invoices::Invoices;
use crate::bare::relay::Relay;
use crate::bare::server::work;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// NATS with `JetStream`, as Debian packages it
    Nats,
    /// A newer NATS that syncs before it confirms
    NatsSync,
    /// `RabbitMQ` with a quorum queue
    Rabbitmq,
    /// A queue of `PgQ` in the order database
    Pgq,
}

impl Peer {
    /// Its name on the command line.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::NatsSync => "nats-sync",
            Self::Rabbitmq => "rabbitmq",
            Self::Pgq => "pgq",
        }
    }

    /// Its name in the table, with its version and what a confirmation guarantees.
    #[must_use]
    pub(crate) fn label(self) -> String {
        let version = broker::version(self);
        match self {
            Self::Nats => format!("NATS {version} (confirms before it syncs)"),
            Self::NatsSync => format!("NATS {version} (syncs before it confirms)"),
            Self::Rabbitmq => {
                format!("RabbitMQ {version}, quorum queue (syncs before it confirms)")
            }
            Self::Pgq => format!("PgQ {version} (commits with the order, is read in its database)"),
        }
    }

    /// What the order service writes events to.
    pub(crate) fn outbox(self) -> Outbox {
        match self {
            Self::Nats | Self::NatsSync | Self::Rabbitmq => Outbox::NotifyAfter,
            Self::Pgq => Outbox::Pgq,
        }
    }

    /// How many events its relay publishes together, and its consumer takes together.
    ///
    /// The best of 100, 500 and 1,000 in the drain of 20,000 events, each tried with
    /// `BENCH_BATCH=500 benches/run --peers --only nats`. The gain over 100 is some 10 % for the
    /// brokers, and half for `PgQ`, which commits twice in the order database for each batch.
    fn batch(self) -> usize {
        match self {
            Self::Nats | Self::NatsSync => 500,
            Self::Rabbitmq | Self::Pgq => 1_000,
        }
    }
}

/// The processes beside a peer.
#[derive(Debug, clap::Subcommand)]
#[command(hide = true)]
pub(crate) enum Command {
    /// Publishes an outbox
    #[command(hide = true)]
    Publish {
        peer: Peer,
        broker: SocketAddr,
        #[arg(long)]
        from: String,
        #[arg(long, env = "BENCH_BATCH")]
        batch: Option<usize>,
        #[arg(long, env)]
        listen: SocketAddr,
    },
    /// Invoices from a peer
    #[command(hide = true)]
    Consume {
        peer: Peer,
        /// A broker's address, or the database that `PgQ` is in
        from: String,
        #[arg(long, env)]
        database_url: String,
        #[arg(long, env = "BENCH_BATCH")]
        batch: Option<usize>,
        #[arg(long, env)]
        listen: SocketAddr,
    },
}

/// Runs one until it is stopped.
pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Publish {
            peer,
            broker,
            from,
            batch,
            listen,
        } => {
            let batch = batch.unwrap_or(peer.batch());
            match peer {
                Peer::Nats | Peer::NatsSync => {
                    let publisher = nats::Publisher::open(broker).await?;
                    work(listen, Relay::open(&from, publisher, batch).await?.run()).await
                }
                Peer::Rabbitmq => {
                    let publisher = rabbitmq::Publisher::open(broker).await?;
                    work(listen, Relay::open(&from, publisher, batch).await?.run()).await
                }
                Peer::Pgq => bail!("PgQ has no relay: its consumer reads the order database"),
            }
        }
        Command::Consume {
            peer,
            from,
            database_url,
            batch,
            listen,
        } => {
            let batch = batch.unwrap_or(peer.batch());
            let invoices = Invoices::open(&database_url).await?;
            match peer {
                Peer::Nats | Peer::NatsSync => {
                    let inbox = nats::Inbox::open(from.parse()?, batch).await?;
                    work(listen, consumer::run(inbox, invoices)).await
                }
                Peer::Rabbitmq => {
                    let inbox = rabbitmq::Inbox::open(from.parse()?, batch).await?;
                    work(listen, consumer::run(inbox, invoices)).await
                }
                Peer::Pgq => {
                    let inbox = pgq::Inbox::open(&from, batch).await?;
                    work(listen, consumer::run(inbox, invoices)).await
                }
            }
        }
    }
}
