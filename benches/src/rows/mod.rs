//! The benchmarks, in the order of the table.

mod drain;
mod head_under_load;
mod history;
mod idle;
mod latency;
mod memory;
mod not_modified;
mod orders_postgres;
mod orders_sqlite;
mod pages;
#[cfg(feature = "peers")]
mod peers;
#[cfg(feature = "peers")]
mod shared_wait;
mod start;
mod tail;
mod waiting;
#[cfg(feature = "page")]
mod write;

use anyhow::{Result, bail};

use crate::lab::Lab;
#[cfg(feature = "peers")]
use crate::peers::Peer;

macro_rules! rows {
    ($lab:ident: $($(#[$if:meta])* $name:literal $what:literal => $run:expr;)*) => {
        /// Name and meaning of each.
        pub(crate) const ROWS: &[(&str, &str)] = &[$($(#[$if])* ($name, $what),)*];

        pub(crate) async fn run(name: &str, $lab: &mut Lab) -> Result<()> {
            match name {
                $($(#[$if])* $name => $run.await,)*
                _ => bail!("there is no benchmark {name}"),
            }
        }
    };
}

rows! { lab:
    "304" "a 304 from the head" => not_modified::run(lab);
    "page" "sealed and immutable pages" => pages::run(lab);
    "head" "the head while orders arrive" => head_under_load::run(lab);
    "orders-postgres" "orders by HTTP on PostgreSQL" => orders_postgres::run(lab);
    "orders-sqlite" "orders by HTTP on SQLite" => orders_sqlite::run(lab);
    "drain" "a consumer that catches up, alone and as four instances" => drain::run(lab);
    "latency" "from an order's commit to its invoice's" => latency::run(lab);
    "waiting" "a thousand readers that wait for one event" => waiting::run(lab);
    "history" "requests with a long history" => history::run(lab);
    "tail" "bytes and requests for each new event" => tail::run(lab);
    "start" "the start of the order service" => start::run(lab);
    "memory" "resident memory" => memory::run(lab);
    "idle" "a consumer that waits" => idle::run(lab);
    #[cfg(feature = "page")]
    "write" "a page written and read" => write::run(lab);
    #[cfg(feature = "peers")]
    "nats" "NATS JetStream in the place of the feed" => peers::run(lab, Peer::Nats);
    #[cfg(feature = "peers")]
    "nats-sync" "NATS JetStream that syncs, in the place of the feed" => peers::run(lab, Peer::NatsSync);
    #[cfg(feature = "peers")]
    "rabbitmq" "RabbitMQ in the place of the feed" => peers::run(lab, Peer::Rabbitmq);
    #[cfg(feature = "peers")]
    "pgq" "a queue of PgQ in the place of the feed" => peers::run(lab, Peer::Pgq);
    #[cfg(feature = "peers")]
    "shared" "ten thousand readers that wait behind Varnish" => shared_wait::run(lab);
}

/// Those that also run on a second PostgreSQL: their figures depend on it most.
pub(crate) const ON_BOTH_SERVERS: [&str; 3] = ["orders-postgres", "drain", "latency"];

/// About how long one takes with five rounds on two cores.
#[must_use]
pub(crate) fn minutes(name: &str) -> f64 {
    match name {
        "nats" | "nats-sync" | "rabbitmq" | "pgq" => 8.0,
        _ => 2.0,
    }
}
