//! The caches, each with a configuration and a directory of its own, and what counts their requests at the origin.

use std::path::Path;
use std::process::Command;

use harness::programs::{available, program, tool};
use harness::tap::{Exchange, Tap};
use harness::{Client, Process, Service, free_address, until};

/// A file of a configuration: its name, and its text.
type File = (&'static str, &'static str);

const TRAFFIC_SERVER: &[File] = &[
    ("runroot.yaml", include_str!("trafficserver/runroot.yaml")),
    (
        "records.config",
        include_str!("trafficserver/records.config"),
    ),
    ("remap.config", include_str!("trafficserver/remap.config")),
    (
        "storage.config",
        include_str!("trafficserver/storage.config"),
    ),
    ("ip_allow.yaml", include_str!("trafficserver/ip_allow.yaml")),
];

/// What keeps nginx in one process, without root, and within its directory.
const NGINX: &str =
    "daemon off; master_process off; user root; pid nginx.pid; error_log stderr warn;";
const NGINX_PATHS: &str = "access_log off; client_body_temp_path body; proxy_temp_path proxy; \
     fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;";

/// Which cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// With rules of ours.
    Nginx,
    /// With rules of ours.
    Varnish,
    /// All others with rules of their own.
    NginxDefaults,
    Squid,
    TrafficServer,
    /// Without a plugin, it is a proxy that stores nothing.
    Caddy,
}

/// A cache in front of an order service.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Obeys the headers of the feed, without rules of its own.
    pub(crate) plain: Client,
    /// Passes the conditions of a reader on.
    pub(crate) eager: Client,
    /// Keeps the head while its origin is down.
    pub(crate) keeping: Client,
    origin: Tap,
    /// With the credentials of the origin's operator.
    operator: Client,
    command: Command,
    directory: tempfile::TempDir,
    /// Dropped, and so killed, before its directory is.
    process: Option<Process>,
}

impl Cache {
    /// Stores what it may. The others pass everything on.
    pub(crate) fn stores(self) -> bool {
        self != Self::Caddy
    }

    /// Stores a head that must be revalidated each time, and serves it while its origin is down.
    pub(crate) fn keeps_the_head(self) -> bool {
        !matches!(self, Self::NginxDefaults | Self::Caddy)
    }

    /// The others drop `If-None-Match` where they may cache the answer.
    pub(crate) fn passes_conditions(self) -> bool {
        !matches!(self, Self::NginxDefaults | Self::TrafficServer)
    }

    /// The program, which `tests/run` installs.
    fn program(self) -> Option<Command> {
        let name = match self {
            Self::Caddy => return tool("caddy"),
            Self::Nginx | Self::NginxDefaults => "nginx",
            Self::Varnish => "varnishd",
            Self::Squid => "squid",
            Self::TrafficServer => "traffic_server",
        };
        available(&[name]).then(|| program(name))
    }

    pub(crate) fn is_installed(self) -> bool {
        self.program().is_some()
    }

    fn configuration(self) -> &'static [File] {
        match self {
            Self::Nginx => &[("nginx.conf", include_str!("nginx.conf"))],
            Self::NginxDefaults => &[("nginx.conf", include_str!("nginx_defaults.conf"))],
            Self::Varnish => &[("varnish.vcl", include_str!("varnish.vcl"))],
            Self::Squid => &[("squid.conf", include_str!("squid.conf"))],
            Self::TrafficServer => TRAFFIC_SERVER,
            Self::Caddy => &[("Caddyfile", include_str!("Caddyfile"))],
        }
    }

    fn command(self, directory: &Path, plain: &str) -> Command {
        let mut command = self.program().unwrap();
        let file = directory.join(self.configuration()[0].0);
        match self {
            Self::Nginx | Self::NginxDefaults => command
                .arg("-p")
                .arg(directory)
                .args(["-e", "stderr", "-g", NGINX, "-c"])
                .arg(file),
            Self::Varnish => command
                .args(["-F", "-j", "none", "-s", "malloc,16m", "-a", plain, "-n"])
                .arg(directory.join("work"))
                .arg("-f")
                .arg(file),
            Self::Squid => command.arg("-N").arg("-f").arg(file),
            Self::TrafficServer => command.arg(format!("--run-root={}", file.display())),
            Self::Caddy => command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(file)
                // Where it keeps its own state.
                .env("HOME", directory),
        };
        command
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn before(self, order: &Service) -> Proxy {
        let origin = Tap::before(&order.client.url("")).await;
        let address = origin.url("");
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        let (host, port) = address.split_once(':').unwrap();
        let directory = tempfile::tempdir().unwrap();
        let addresses = [(); 3].map(|()| free_address());
        let [plain, eager, keeping] = &addresses;
        let (_, plain_port) = plain.split_once(':').unwrap();
        let replacements = [
            ("@DIRECTORY@", directory.path().to_str().unwrap()),
            ("@ORIGIN@", address),
            ("@HOST@", host),
            ("@PORT@", port),
            ("@PLAIN@", plain),
            ("@PLAIN_PORT@", plain_port),
            ("@EAGER@", eager),
            ("@KEEPING@", keeping),
            ("http {", &format!("http {{ {NGINX_PATHS}")),
        ];
        let mut has_one = true;
        for (name, text) in self.configuration() {
            has_one &= !text.contains("@EAGER@");
            let mut text = (*text).to_owned();
            for (what, by) in replacements {
                text = text.replace(what, by);
            }
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let client = |address: &str| {
            let address = if has_one { plain } else { address };
            Client::new(&format!("http://{address}/"))
        };
        let mut proxy = Proxy {
            plain: client(plain),
            eager: client(eager),
            keeping: client(keeping),
            origin,
            operator: order.client.at(&format!("http://{plain}/")),
            command: self.command(directory.path(), plain),
            directory,
            process: None,
        };
        proxy.start().await;
        proxy
    }
}

impl Proxy {
    async fn start(&mut self) {
        let directory = self.directory.path();
        let process = Process::start_command("cache", &mut self.command, &[], directory);
        self.process.insert(process).ready(&self.operator).await;
    }

    /// `kill -9`, and starts it anew with what it has on its disk.
    pub(crate) async fn kill_and_start(&mut self) {
        self.process = None;
        let address = self.plain.url("");
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        // Varnish's worker notices that its parent is gone.
        until("its address is free", async || {
            std::net::TcpListener::bind(address).ok().map(drop)
        })
        .await;
        self.start().await;
        // A connection of theirs may be one to the killed process, and fail when it is used again.
        for client in [&mut self.plain, &mut self.eager, &mut self.keeping] {
            *client = Client::new(&client.url(""));
        }
    }

    /// What the origin was asked for at this path, with what it has answered.
    pub(crate) fn exchanges(&self, path: &str) -> Vec<Exchange> {
        let mut exchanges = self.origin.exchanges();
        exchanges.retain(|each| each.target.trim_start_matches('/') == path);
        exchanges
    }

    /// How often the origin was asked for this path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.exchanges(path).len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process = None;
    }
}
