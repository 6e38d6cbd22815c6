//! Brokers in the place of the feed, as a team would put them there: the order service writes to an
//! outbox (`bare::orders`), a relay publishes it and waits for the broker's confirmations, and a
//! consumer acknowledges messages after it has committed their invoices (`bare::invoices`). Orders,
//! effect, databases and the size of a batch are ours; what lies between is the broker's.
//!
//! Each broker is the package of this system with the settings it comes with, and is not handicapped:
//! publishing and acknowledging wait for no message alone, and more messages than a batch has are on
//! their way to the consumer.

mod broker;
mod consumer;
mod message;
mod nats;
mod rabbitmq;
pub(crate) mod shop;
mod usage;

use std::net::SocketAddr;

use anyhow::Result;

use crate::bare::invoices::Invoices;
use crate::bare::relay::Relay;
use crate::bare::server::work;

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// NATS with `JetStream`
    Nats,
    /// `RabbitMQ` with a quorum queue
    Rabbitmq,
}

impl Peer {
    /// Its name on the command line.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Rabbitmq => "rabbitmq",
        }
    }

    /// Its name in the table, which says what a confirmation guarantees where that is less than a
    /// commit of PostgreSQL.
    #[must_use]
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Nats => "NATS JetStream (confirms before it syncs)",
            Self::Rabbitmq => "RabbitMQ, quorum queue",
        }
    }
}

/// The processes beside a broker.
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
        #[arg(long, env)]
        listen: SocketAddr,
    },
    /// Invoices from a broker
    #[command(hide = true)]
    Consume {
        peer: Peer,
        broker: SocketAddr,
        #[arg(long, env)]
        database_url: String,
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
            listen,
        } => match peer {
            Peer::Nats => {
                let publisher = nats::Publisher::open(broker).await?;
                work(listen, Relay::open(&from, publisher).await?.run()).await
            }
            Peer::Rabbitmq => {
                let publisher = rabbitmq::Publisher::open(broker).await?;
                work(listen, Relay::open(&from, publisher).await?.run()).await
            }
        },
        Command::Consume {
            peer,
            broker,
            database_url,
            listen,
        } => {
            let invoices = Invoices::open(&database_url).await?;
            match peer {
                Peer::Nats => {
                    let inbox = nats::Inbox::open(broker).await?;
                    work(listen, consumer::run(inbox, invoices)).await
                }
                Peer::Rabbitmq => {
                    let inbox = rabbitmq::Inbox::open(broker).await?;
                    work(listen, consumer::run(inbox, invoices)).await
                }
            }
        }
    }
}
