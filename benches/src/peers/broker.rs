//! A broker as a private process: its files are in the benchmark's directory, only this machine
//! reaches it, and its other settings are those of its package. It is killed with all that it has
//! started.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::{Peer, usage};
use crate::lab::Lab;
use crate::process::{Process, Start, free_address};

const NATS: &str = "/usr/sbin/nats-server";
/// Not the command in the path, which changes to a user of its own.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const EPMD: &str = "/usr/bin/epmd";

#[derive(Debug)]
pub(super) struct Broker {
    processes: Vec<Process>,
    pub(super) address: SocketAddr,
}

impl Broker {
    pub(super) async fn start(peer: Peer, lab: &Lab) -> Result<Self> {
        let address = free_address()?;
        let directory = lab
            .directory
            .join(format!("{}.{}", peer.name(), address.port()));
        std::fs::create_dir(&directory)?;
        let processes = match peer {
            Peer::Nats => vec![lab.start(nats(address, &directory)).await?],
            Peer::Rabbitmq => rabbitmq(address, &directory, lab).await?,
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

fn nats(address: SocketAddr, directory: &Path) -> Start {
    let arguments = [
        "--jetstream",
        "--store_dir",
        &directory.display().to_string(),
        "--addr",
        &address.ip().to_string(),
        "--port",
        &address.port().to_string(),
    ];
    Start {
        program: NATS.to_owned(),
        arguments: arguments.map(str::to_owned).to_vec(),
        address: Some(address),
        ..Start::default()
    }
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
