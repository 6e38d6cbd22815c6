//! The real nginx with the real configuration, in front of real services that it finds by name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::programs::program;
use harness::{Backend, Client, Process, Service, free_address, until};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::names::Names;

/// The proxy, and its resolver.
#[derive(Debug)]
pub(crate) struct Site {
    /// A client from outside.
    pub(crate) client: Client,
    address: String,
    /// The port of all services.
    port: u16,
    domain: &'static str,
    names: Names,
    directory: tempfile::TempDir,
    /// Dropped, and so killed, before its directory is.
    process: Option<Process>,
}

/// Where the proxy runs, which tells it how services are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Compose,
    Kubernetes,
}

/// One process of a service, and its address in the resolver.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) service: Service,
    name: String,
    at: IpAddr,
}

/// The files of the deployment.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A container may have the file that says so, and no address.
pub(crate) fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap()
}

impl Site {
    /// The proxy alone, as Compose runs it, open to all.
    pub(crate) async fn open() -> Self {
        Self::on(On::Compose, None).await
    }

    /// The proxy alone, with the directory that says which clients it accepts; without one, it accepts all.
    pub(crate) async fn on(platform: On, protect: Option<&Path>) -> Self {
        let names = Names::start().await;
        let directory = tempfile::tempdir().unwrap();
        let address = free_address();
        let port = fastrand::u16(12_000..32_000);
        let (domain, search) = match platform {
            On::Compose => ("", "search example.test"),
            On::Kubernetes => (
                ".shop.svc.cluster.test",
                "search shop.svc.cluster.test svc.cluster.test cluster.test",
            ),
        };
        let here = format!("{}/", directory.path().display());
        // Only a container has these: addresses, ports and directories of its own.
        let opened = directory.path().join("protect");
        std::fs::create_dir(&opened).unwrap();
        std::fs::write(opened.join("open"), "").unwrap();
        let protect = protect.unwrap_or(&opened).display().to_string();
        let by_ipv6 = address.replace("127.0.0.1", "[::1]");
        let ipv6 = if has_ipv6() { "/" } else { "/nothing" };
        let replacements = [
            ("listen 8080;", format!("listen {address};")),
            ("[::]:8080", by_ipv6.clone()),
            ("/proc/net/if_inet6", ipv6.to_owned()),
            ("$domain:8080;", format!("$domain:{port};")),
            ("/tmp/", here.clone()),
            ("/etc/resolv.conf", format!("{here}resolv.conf")),
            ("/run/secrets/protect", protect),
            ("/usr/share/nginx/html", deploy().display().to_string()),
            (
                "exec nginx -e /dev/stderr -g \"daemon off;\"",
                format!("exec \"$PROGRAM\" -c {here}nginx.conf -e stderr -g \"$OPTIONS\""),
            ),
        ];
        let mut found = [0; 9];
        for name in ["nginx.conf", "proxy.sh"] {
            let mut text = read(name);
            for ((what, by), found) in replacements.iter().zip(&mut found) {
                *found += text.matches(what).count();
                text = text.replace(what, by);
            }
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        assert!(found.iter().all(|count| *count > 0), "{found:?}");
        let resolver = format!("{search}\nnameserver {}\n", names.address);
        std::fs::write(directory.path().join("resolv.conf"), resolver).unwrap();
        let mut site = Self {
            client: Client::new(&format!("http://{address}/")),
            address,
            port,
            domain,
            names,
            directory,
            process: None,
        };
        site.start().await;
        site
    }

    async fn start(&mut self) {
        let mut proxy = Command::new("sh");
        proxy
            .arg(self.directory.path().join("proxy.sh"))
            .env("PROGRAM", program("nginx").get_program())
            .env("OPTIONS", "daemon off; master_process off; user root;");
        let process = Process::start_command("nginx", &mut proxy, &[], self.directory.path());
        let process = self.process.insert(process);
        until("the proxy answers", async || {
            assert!(!process.is_gone(), "{}", process.log());
            let answer = self.client.try_send("GET", "health/live", &[], "").await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Ends the proxy, and starts it anew.
    pub(crate) async fn restart(&mut self) {
        self.process = None;
        self.start().await;
    }

    /// A service behind it, with an address of its own, not started yet. Its public address is the
    /// proxy's.
    pub(crate) async fn service(&self, name: &'static str, backend: Backend) -> Deployed {
        let mut service = Service::new(name, backend).await;
        service.set("BASE_URL", self.client.url(&format!("{name}/")));
        service.set("RUST_LOG", "warn".to_owned());
        let mut deployed = Deployed {
            service,
            name: format!("{name}{}", self.domain),
            at: Ipv4Addr::LOCALHOST.into(),
        };
        self.move_elsewhere(&mut deployed);
        deployed
    }

    /// Gives a service that does not run another address.
    pub(crate) fn move_elsewhere(&self, deployed: &mut Deployed) {
        // All of 127.0.0.0/8 is this machine.
        let (b, c, d) = (fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255));
        self.move_to(deployed, Ipv4Addr::new(127, b, c, d).into());
    }

    /// Gives a service that does not run this address.
    pub(crate) fn move_to(&self, deployed: &mut Deployed, at: IpAddr) {
        deployed.at = at;
        let listen = SocketAddr::new(at, self.port);
        deployed.service.client = Client::new(&format!("http://{listen}/"));
        deployed.service.set("LISTEN", listen.to_string());
    }

    /// A running service behind it.
    pub(crate) async fn started(&self, name: &'static str, backend: Backend) -> Deployed {
        let mut deployed = self.service(name, backend).await;
        self.start_up(&mut deployed).await;
        deployed
    }

    /// Starts a service, and registers its name.
    pub(crate) async fn start_up(&self, deployed: &mut Deployed) {
        deployed.service.start().await;
        self.names.add(&deployed.name, deployed.at);
    }

    /// An address for this name at which nothing answers, as where a machine has gone.
    pub(crate) async fn gone(&self, name: &str) -> Gone {
        let gone = Gone::at(self.port).await;
        let name = format!("{name}{}", self.domain);
        self.names.add(&name, gone.address);
        gone
    }

    /// Kills a service. Its name goes too, as with a container that has ended.
    pub(crate) fn end(&self, deployed: &mut Deployed) {
        deployed.service.kill();
        self.names.remove(&deployed.name, deployed.at);
    }

    /// The address on which the proxy listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What the proxy has logged.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().unwrap().log()
    }
}

/// An address that drops all that is sent to it: its queue of connections is full, and nobody takes one.
#[derive(Debug)]
pub(crate) struct Gone {
    address: IpAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Gone {
    async fn at(port: u16) -> Self {
        let address = Ipv4Addr::new(
            127,
            fastrand::u8(1..),
            fastrand::u8(..),
            fastrand::u8(1..255),
        );
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, port).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queued = Vec::new();
        loop {
            let connect = TcpStream::connect((address, port));
            let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), connect).await else {
                return Self {
                    address: address.into(),
                    _listener: listener,
                    _queued: queued,
                };
            };
            queued.push(stream.unwrap());
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.process = None;
    }
}
