//! The benchmarks, in the order of the table.

use anyhow::{Result, bail};

use crate::lab::Lab;

macro_rules! rows {
    ($($(#[$if:meta])* $module:ident $name:literal $what:literal;)*) => {
        $($(#[$if])* mod $module;)*

        /// Name and meaning of each.
        pub(crate) const ROWS: &[(&str, &str)] = &[$($(#[$if])* ($name, $what),)*];

        pub(crate) async fn run(name: &str, lab: &mut Lab) -> Result<()> {
            match name {
                $($(#[$if])* $name => $module::run(lab).await,)*
                _ => bail!("there is no benchmark {name}"),
            }
        }
    };
}

rows! {
    not_modified "304" "a 304 from the head";
    pages "page" "sealed and immutable pages";
    head_under_load "head" "the head while orders arrive";
    orders_postgres "orders-postgres" "orders by HTTP on PostgreSQL";
    orders_sqlite "orders-sqlite" "orders by HTTP on SQLite";
    drain "drain" "a consumer that catches up, alone and as four instances";
    latency "latency" "from an order's commit to its invoice's";
    waiting "waiting" "a thousand readers that wait for one event";
    history "history" "requests with a long history";
    tail "tail" "bytes and requests for each new event";
    start "start" "the start of the order service";
    memory "memory" "resident memory";
    idle "idle" "a consumer that waits";
    #[cfg(feature = "page")]
    write "write" "a page written and read";
    #[cfg(feature = "peers")]
    nats "nats" "NATS JetStream in the place of the feed";
    #[cfg(feature = "peers")]
    nats_sync "nats-sync" "NATS JetStream that syncs, in the place of the feed";
    #[cfg(feature = "peers")]
    rabbitmq "rabbitmq" "RabbitMQ in the place of the feed";
    #[cfg(feature = "peers")]
    pgq "pgq" "a queue of PgQ in the place of the feed";
    #[cfg(feature = "peers")]
    shared_wait "shared" "ten thousand readers that wait behind Varnish";
}

#[cfg(feature = "peers")]
mod peers;

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
