//! A broker, or the daemon of `PgQ`, as a private process: its files are in the benchmark's directory,
//! only this machine reaches it, and its other settings are those of its package. It is killed with
//! all that it has started.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sqlx::postgres::PgConnectOptions;

use super::{Peer, pgq, usage};
use crate::conditions::output_of;
use crate::lab::Lab;
use crate::process::{Process, Start, free_address};

const NATS: &str = "/usr/sbin/nats-server";
/// Not the command in the path, which changes to a user of its own.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const EPMD: &str = "/usr/bin/epmd";
const PGQD: &str = "/usr/bin/pgqd";

#[derive(Debug)]
pub(super) struct Broker {
    processes: Vec<Process>,
    /// Where clients connect: an address, or the database that a queue of `PgQ` is in.
    pub(super) address: String,
}

/// The version of what is installed.
pub(super) fn version(peer: Peer) -> String {
    let package = |name| {
        output_of(
            "dpkg-query",
            &["-W", "-f", "${source:Upstream-Version}", name],
        )
    };
    match peer {
        Peer::Nats => package("nats-server"),
        Peer::NatsSync => {
            let text = newer_nats().map(|program| output_of(&program, &["--version"]));
            let text = text.unwrap_or_default();
            text.rsplit('v').next().unwrap_or_default().to_owned()
        }
        Peer::Rabbitmq => package("rabbitmq-server"),
        Peer::Pgq => package("pgqd"),
    }
}

fn newer_nats() -> Result<String> {
    std::env::var("BENCH_NATS").context("no newer NATS: `benches/run --peers` fetches it")
}

impl Broker {
    /// Starts one; `orders` is the order service's database.
    pub(super) async fn start(peer: Peer, lab: &Lab, orders: &str) -> Result<Self> {
        let address = free_address()?;
        let directory = lab
            .directory
            .join(format!("{}.{}", peer.name(), address.port()));
        std::fs::create_dir(&directory)?;
        let processes = match peer {
            Peer::Nats => {
                let server = nats(NATS.to_owned(), "", address, &directory)?;
                vec![lab.start(server).await?]
            }
            Peer::NatsSync => {
                let server = nats(newer_nats()?, "sync_interval: always", address, &directory)?;
                vec![lab.start(server).await?]
            }
            Peer::Rabbitmq => rabbitmq(address, &directory, lab).await?,
            Peer::Pgq => vec![lab.start(pgqd(orders, &directory)?).await?],
        };
        let address = match peer {
            Peer::Pgq => orders.to_owned(),
            Peer::Nats | Peer::NatsSync | Peer::Rabbitmq => address.to_string(),
        };
        Ok(Self { processes, address })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().map(Process::id)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Its data is not needed, so it need not shut down in order.
        for id in self.ids().flat_map(usage::descendants).flatten() {
            let _ = Command::new("kill")
                .args(["-KILL", &id.to_string()])
                .status();
        }
    }
}

/// `setting` is one of `JetStream`, besides where its files are.
fn nats(program: String, setting: &str, address: SocketAddr, directory: &Path) -> Result<Start> {
    let config = directory.join("nats.conf");
    let store = directory.join("data");
    let text = format!(
        "listen: \"{address}\"\njetstream {{\n  store_dir: \"{}\"\n  {setting}\n}}\n",
        store.display()
    );
    std::fs::write(&config, text)?;
    Ok(Start {
        program,
        arguments: vec!["--config".to_owned(), config.display().to_string()],
        address: Some(address),
        ..Start::default()
    })
}

/// The daemon that ticks the queues of one database.
fn pgqd(database: &str, directory: &Path) -> Result<Start> {
    let options: PgConnectOptions = database.parse()?;
    let socket = options.get_socket().context("a socket")?.display();
    let (user, name) = (options.get_username(), options.get_database());
    let name = name.context("a database")?;
    let config = directory.join("pgqd.ini");
    let text = format!(
        "[pgqd]\nbase_connstr = host={socket} user={user}\ninitial_database = {name}\n\
         database_list = {name}\nsyslog = 0\nticker_period = {}\n",
        pgq::TICKER_PERIOD
    );
    std::fs::write(&config, text)?;
    Ok(Start {
        program: PGQD.to_owned(),
        arguments: vec![config.display().to_string()],
        unreachable: true,
        ..Start::default()
    })
}

/// The server, and before it the daemon where Erlang's nodes find each other: it would start one
/// for the whole machine, which stays.
async fn rabbitmq(address: SocketAddr, directory: &Path, lab: &Lab) -> Result<Vec<Process>> {
    ensure!(Path::new(RABBITMQ).exists(), "RabbitMQ is not installed");
    let (names, nodes) = (free_address()?, free_address()?);
    let (host, names_port) = (names.ip().to_string(), names.port().to_string());
    let daemon = Start {
        program: EPMD.to_owned(),
        arguments: ["-address", &host, "-port", &names_port]
            .map(str::to_owned)
            .to_vec(),
        address: Some(names),
        ..Start::default()
    };
    let below = |name: &str| directory.join(name).display().to_string();
    let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
    let server = Start {
        program: RABBITMQ.to_owned(),
        address: Some(address),
        ..Start::default()
    };
    let server = server
        .set("HOME", directory.display().to_string())
        .set("ERL_EPMD_ADDRESS", host)
        .set("ERL_EPMD_PORT", names_port)
        .set("RABBITMQ_NODENAME", "bench@localhost")
        .set("RABBITMQ_NODE_IP_ADDRESS", address.ip().to_string())
        .set("RABBITMQ_NODE_PORT", address.port().to_string())
        .set("RABBITMQ_DIST_PORT", nodes.port().to_string())
        .set("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", loopback)
        .set("RABBITMQ_MNESIA_BASE", below("data"))
        .set("RABBITMQ_LOG_BASE", below("log"))
        .set("RABBITMQ_PID_FILE", below("pid"))
        // None of these files exist, so that settings of another server on this machine have no
        // effect.
        .set("RABBITMQ_CONF_ENV_FILE", below("environment"))
        .set("RABBITMQ_CONFIG_FILE", below("rabbitmq"))
        .set("RABBITMQ_ADVANCED_CONFIG_FILE", below("advanced.config"))
        .set("RABBITMQ_ENABLED_PLUGINS_FILE", below("plugins"));
    Ok(vec![lab.start(daemon).await?, lab.start(server).await?])
}
