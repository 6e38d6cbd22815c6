//! PostgreSQL as it is run where it must not be missing: three nodes under Patroni, etcd, and `HAProxy`, which leads to
//! the node that Patroni calls the primary. Each is in a network namespace of its own, so that any two of them can be
//! cut off from each other. Patroni decides who is the primary; nothing of ours takes part.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::programs::{self, available, program};
use harness::server::installed;
use harness::{Client, Process, patiently};
use serde_json::{Value, json};

/// Patroni's own times, in seconds, the shortest that it takes (its defaults are 30, 10, 10): how long the primary's lock outlives the
/// primary; between two looks; how long it tries to reach etcd.
const TTL: u64 = 20;
const LOOP_WAIT: u64 = 1;
const RETRY_TIMEOUT: u64 = 3;

pub(crate) const NODES: usize = 3;

/// A machine of the cluster, by its last byte of the address. Nodes come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    Node(usize),
    Etcd,
    Proxy,
}

/// The cluster. Removed with its processes and its network.
pub(crate) struct Patroni {
    /// The address of a database by `HAProxy`.
    pub(crate) url: String,
    /// The names of its devices and namespaces begin so.
    name: String,
    network: [u8; 2],
    processes: Vec<Process>,
    /// Patroni itself.
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Patroni {
    /// A cluster in synchronous mode, or not; whole. `None`: only root can create one.
    pub(crate) async fn start(synchronous: bool) -> Option<Self> {
        let user = Command::new("id").arg("-u").output().unwrap();
        if user.stdout != b"0\n" {
            println!("SKIPPED, only root can make a network namespace");
            return None;
        }
        if !available(&["etcd", "ip", "nft", "haproxy"]) {
            return None;
        }
        let program = programs::installed("patroni")?.join("bin/patroni");
        let id = std::process::id();
        let network = [(id / 250 % 250) as u8, (id % 250) as u8];
        let mut cluster = Self {
            url: format!(
                "postgres://postgres@{}:5000/postgres?sslmode=disable",
                address(network, Machine::Proxy)
            ),
            name: format!("fo{id}"),
            network,
            processes: Vec::new(),
            program,
            // A short path, that postgres may read: a socket's address has 107 characters at most.
            directory: tempfile::Builder::new()
                .prefix("patroni")
                .tempdir_in("/tmp")
                .unwrap(),
        };
        let directory = cluster.directory.path().to_owned();
        must("chown", &format!("postgres {}", directory.display()));
        cluster.connect();
        cluster.start_etcd();
        for node in 0..NODES {
            cluster.configure(node, synchronous);
            cluster.start_node(node);
        }
        cluster.start_proxy();
        patiently("the cluster is whole", async || {
            cluster.is_whole().await.then_some(())
        })
        .await;
        Some(cluster)
    }

    /// The log of each program.
    pub(crate) fn keep_logs(&self, into: &Path) {
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|suffix| suffix == "log") {
                let _ = std::fs::copy(&path, into.join(path.file_name().unwrap()));
            }
        }
    }

    /// A namespace for each machine, and one for the bridge between them: on the host's own, the rules of others, such as
    /// those of Docker, would hold for it.
    fn connect(&self) {
        let name = &self.name;
        let [a, b] = self.network;
        let switch = self.switch();
        ip(&format!("netns add {switch}"));
        ip(&format!("-n {switch} link add bridge type bridge"));
        ip(&format!("-n {switch} link set bridge up"));
        let plug = |port: &str| {
            ip(&format!("-n {switch} link set {port} master bridge"));
            ip(&format!("-n {switch} link set {port} up"));
        };
        ip(&format!(
            "link add {name} type veth peer name host netns {switch}"
        ));
        ip(&format!("addr add 10.{a}.{b}.254/24 dev {name}"));
        ip(&format!("link set {name} up"));
        plug("host");
        for machine in MACHINES {
            let (space, address) = (self.space(machine), self.address(machine));
            let port = format!("port{}", number(machine));
            ip(&format!("netns add {space}"));
            ip(&format!(
                "-n {switch} link add {port} type veth peer name eth0 netns {space}"
            ));
            plug(&port);
            ip(&format!("-n {space} addr add {address}/24 dev eth0"));
            ip(&format!("-n {space} link set eth0 up"));
            ip(&format!("-n {space} link set lo up"));
        }
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    fn space(&self, machine: Machine) -> String {
        format!("{}-{}", self.name, number(machine))
    }

    fn address(&self, machine: Machine) -> Ipv4Addr {
        address(self.network, machine)
    }

    /// The database at `url`, on this node.
    pub(crate) fn url_of(&self, node: usize, url: &str) -> String {
        let proxy = format!("{}:5000", self.address(Machine::Proxy));
        url.replace(
            &proxy,
            &format!("{}:5432", self.address(Machine::Node(node))),
        )
    }

    fn start_etcd(&mut self) {
        let address = self.address(Machine::Etcd);
        let (client, peer) = (
            format!("http://{address}:2379"),
            format!("http://{address}:2380"),
        );
        let data = self.directory.path().join("etcd");
        let mut etcd = program("etcd");
        etcd.arg("--name=one")
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=one={peer}"));
        self.run(Machine::Etcd, "etcd", &etcd);
    }

    /// The files of a node. JSON is YAML, too.
    fn configure(&self, node: usize, synchronous: bool) {
        let (address, name) = (self.address(Machine::Node(node)), format!("node{node}"));
        let directory = self.directory.path();
        let data = directory.join(format!("{name}.data"));
        let trusted = json!([
            "local all all trust",
            "host all all 0.0.0.0/0 trust",
            "host replication all 0.0.0.0/0 trust"
        ]);
        let configuration = json!({
            "scope": "shop",
            "name": name,
            "restapi": {"listen": format!("{address}:8008"), "connect_address": format!("{address}:8008")},
            "etcd3": {"host": format!("{}:2379", self.address(Machine::Etcd))},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL, "loop_wait": LOOP_WAIT, "retry_timeout": RETRY_TIMEOUT,
                    "synchronous_mode": synchronous,
                    "maximum_lag_on_failover": 1_000_000_000,
                    "primary_start_timeout": 0,
                    "postgresql": {
                        "use_pg_rewind": true,
                        "use_slots": true,
                        "remove_data_directory_on_rewind_failure": true,
                        "remove_data_directory_on_diverged_timelines": true,
                        "parameters": {
                            "max_connections": 200, "fsync": "off", "wal_keep_size": "256MB",
                            "wal_sender_timeout": "5s", "wal_receiver_timeout": "5s",
                            "shared_buffers": "32MB", "log_line_prefix": "%m [%p] %a ",
                        },
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums", "no-sync"],
            },
            "postgresql": {
                "listen": format!("{address}:5432"),
                "connect_address": format!("{address}:5432"),
                "data_dir": data,
                "bin_dir": installed(),
                "pgpass": directory.join(format!("{name}.pgpass")),
                "authentication": {
                    "superuser": {"username": "postgres", "password": "postgres"},
                    "replication": {"username": "replicator", "password": "replicator"},
                },
                "pg_hba": trusted,
                "parameters": {"unix_socket_directories": ""},
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
            },
        });
        std::fs::write(self.file(node), configuration.to_string()).unwrap();
    }

    fn file(&self, node: usize) -> std::path::PathBuf {
        self.directory.path().join(format!("node{node}.yml"))
    }

    /// Patroni, which starts PostgreSQL.
    pub(crate) fn start_node(&mut self, node: usize) {
        let mut patroni = Command::new("setpriv");
        patroni
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(&self.program)
            .arg(self.file(node));
        self.run(Machine::Node(node), &format!("node{node}"), &patroni);
    }

    fn start_proxy(&mut self) {
        let servers: String = (0..NODES)
            .map(|node| {
                let address = self.address(Machine::Node(node));
                format!("    server node{node} {address}:5432 check port 8008\n")
            })
            .collect();
        let configuration = format!(
            "global
    maxconn 1000
defaults
    mode tcp
    timeout connect 2s
    timeout check 1s
    timeout client 30m
    timeout server 30m
listen primary
    bind {}:5000
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}",
            self.address(Machine::Proxy)
        );
        let file = self.directory.path().join("haproxy.cfg");
        std::fs::write(&file, configuration).unwrap();
        let mut haproxy = program("haproxy");
        haproxy.arg("-db").arg("-f").arg(file);
        self.run(Machine::Proxy, "haproxy", &haproxy);
    }

    fn run(&mut self, machine: Machine, name: &str, command: &Command) {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.space(machine)]);
        inside.arg(command.get_program()).args(command.get_args());
        inside.current_dir(self.directory.path());
        let process = Process::start_command(name, &mut inside, &[], self.directory.path());
        self.processes.push(process);
    }

    /// Sends a signal to all processes of a node: `KILL`, `STOP` or `CONT`.
    pub(crate) fn signal(&mut self, node: usize, signal: &str) {
        let space = self.space(Machine::Node(node));
        let pids = Command::new("ip").args(["netns", "pids", &space]).output();
        let pids = String::from_utf8(pids.unwrap().stdout).unwrap();
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}"))
            .args(pids.split_ascii_whitespace());
        // One of them may have ended already.
        let _ = kill.output();
        // Those that have ended are collected.
        self.processes.retain_mut(|process| !process.is_gone());
    }

    /// From now on, nothing passes between a node and these, and neither side is notified.
    pub(crate) fn cut(&self, node: usize, others: &[Machine]) {
        let space = self.space(Machine::Node(node));
        let others: Vec<String> = others
            .iter()
            .map(|other| self.address(*other).to_string())
            .collect();
        let others = others.join(", ");
        let rules = format!(
            "add table ip cut
             add chain ip cut out {{ type filter hook output priority 0; }}
             add chain ip cut in {{ type filter hook input priority 0; }}
             add rule ip cut out ip daddr {{ {others} }} drop
             add rule ip cut in ip saddr {{ {others} }} drop"
        );
        self.nft(&space, &rules);
    }

    /// All passes again.
    pub(crate) fn join(&self, node: usize) {
        self.nft(&self.space(Machine::Node(node)), "delete table ip cut");
    }

    fn nft(&self, space: &str, rules: &str) {
        let file = self.directory.path().join("rules");
        std::fs::write(&file, rules).unwrap();
        ip(&format!("netns exec {space} nft -f {}", file.display()));
    }

    /// What a node knows of all.
    async fn members(&self, asked: usize) -> Option<Vec<Value>> {
        let answer = self.ask(asked, "GET", "cluster", "").await?;
        let members = answer.json()["members"].as_array()?.clone();
        Some(members)
    }

    async fn ask(
        &self,
        node: usize,
        method: &str,
        path: &str,
        body: &str,
    ) -> Option<harness::Answer> {
        let url = format!("http://{}:8008/", self.address(Machine::Node(node)));
        let client = Client::new(&url);
        let headers = [("content-type", "application/json")];
        let answer = client.try_send(method, path, &headers, body);
        tokio::time::timeout(Duration::from_secs(3), answer)
            .await
            .ok()?
    }

    /// The node that says of itself that it is the primary, and its timeline; `None` unless there is exactly one that
    /// answers.
    pub(crate) async fn primary(&self) -> Option<(usize, i64)> {
        let mut found = None;
        for node in 0..NODES {
            if let Some(answer) = self.ask(node, "GET", "primary", "").await
                && answer.status == 200
                && found
                    .replace((node, answer.json()["timeline"].as_i64()?))
                    .is_some()
            {
                return None;
            }
        }
        found
    }

    /// True if all nodes run, and two of them follow the primary on its timeline, one of them in step with it if the
    /// mode is synchronous.
    pub(crate) async fn is_whole(&self) -> bool {
        let Some((primary, timeline)) = self.primary().await else {
            return false;
        };
        let Some(members) = self.members(primary).await else {
            return false;
        };
        let configuration = self.ask(primary, "GET", "config", "").await;
        let Some(configuration) = configuration else {
            return false;
        };
        let follows = |member: &&Value| {
            member["role"] != "leader"
                && ["running", "streaming"].contains(&member["state"].as_str().unwrap_or_default())
                && member["timeline"] == timeline
                && member["lag"].as_i64().is_some_and(|lag| lag < 1_000_000)
        };
        let in_step = members
            .iter()
            .any(|member| member["role"] == "sync_standby");
        members.iter().filter(follows).count() == NODES - 1
            && (in_step || configuration.json()["synchronous_mode"] != true)
    }

    /// The standby that is in step with the primary.
    pub(crate) async fn in_step(&self) -> Option<usize> {
        let (primary, _) = self.primary().await?;
        let members = self.members(primary).await?;
        let member = members
            .iter()
            .find(|member| member["role"] == "sync_standby")?;
        member["name"].as_str()?.strip_prefix("node")?.parse().ok()
    }

    /// Hands over from this node to another one, in order; false if Patroni refuses.
    pub(crate) async fn switch_over(&self, from: usize) -> bool {
        let body = json!({"leader": format!("node{from}")}).to_string();
        let url = format!("http://{}:8008/", self.address(Machine::Node(from)));
        let headers = [("content-type", "application/json")];
        let answer = Client::new(&url)
            .try_send("POST", "switchover", &headers, &body)
            .await;
        answer.is_some_and(|answer| answer.status == 200)
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for node in 0..NODES {
            self.signal(node, "KILL");
        }
        self.processes.clear();
        // The devices go with them.
        for machine in MACHINES {
            ip(&format!("netns del {}", self.space(machine)));
        }
        ip(&format!("netns del {}", self.switch()));
    }
}

const MACHINES: [Machine; NODES + 2] = [
    Machine::Node(0),
    Machine::Node(1),
    Machine::Node(2),
    Machine::Etcd,
    Machine::Proxy,
];

fn number(machine: Machine) -> u8 {
    match machine {
        Machine::Node(node) => node as u8 + 1,
        Machine::Etcd => 101,
        Machine::Proxy => 102,
    }
}

fn address([a, b]: [u8; 2], machine: Machine) -> Ipv4Addr {
    Ipv4Addr::new(10, a, b, number(machine))
}

fn ip(words: &str) {
    must("ip", words);
}

fn must(name: &str, words: &str) {
    let output = Command::new(name).args(words.split(' ')).output().unwrap();
    if !output.status.success() && !std::thread::panicking() {
        let complained = String::from_utf8_lossy(&output.stderr);
        panic!("{name} {words}: {complained}");
    }
}
