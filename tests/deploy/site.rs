//! The real nginx with the real configuration, in front of real services that it finds by name.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use harness::programs::program;
use harness::{Backend, Client, Process, Service, free_address, until};

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

/// The part of the configuration that differs: how services are found.
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
    at: Ipv4Addr,
}

/// The files of the deployment.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap()
}

impl Site {
    /// The proxy alone, as Compose runs it.
    pub(crate) async fn open() -> Self {
        Self::on(On::Compose, &[]).await
    }

    /// The proxy alone, with these additional files in its directory.
    pub(crate) async fn on(platform: On, files: &[(&str, &str)]) -> Self {
        let names = Names::start().await;
        let directory = tempfile::tempdir().unwrap();
        let address = free_address();
        let port = fastrand::u16(12_000..32_000);
        let (file, resolver, domain) = match platform {
            On::Compose => ("names.conf", "127.0.0.11", ""),
            On::Kubernetes => (
                "kubernetes/names.conf",
                "kube-dns.kube-system.svc.cluster.local",
                ".shop.svc.cluster.local",
            ),
        };
        let here = format!("{}/", directory.path().display());
        let replaced = |text: &str, what: &str, by: &str| {
            assert!(text.contains(what), "{what} is not in {text}");
            text.replace(what, by)
        };
        // Only a container has these: addresses, ports and directories of its own.
        let mut nginx = read("nginx.conf");
        for (what, by) in [
            ("listen 8080;", format!("listen {address};")),
            ("$domain:8080;", format!("$domain:{port};")),
            ("/tmp/", here.clone()),
            ("/usr/share/nginx/html", deploy().display().to_string()),
        ] {
            nginx = replaced(&nginx, what, &by);
        }
        let found = replaced(&read(file), resolver, &names.address.to_string());
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("nginx.conf", &nginx);
        write("names.conf", &found);
        for (name, text) in files {
            write(name, &text.replace("/run/secrets/", &here));
        }
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
        let mut nginx = program("nginx");
        nginx
            .arg("-c")
            .arg(self.directory.path().join("nginx.conf"))
            .args(["-e", "stderr", "-g"])
            .arg("daemon off; master_process off; user root;");
        let process = Process::start_command("nginx", &mut nginx, &[], self.directory.path());
        let process = self.process.insert(process);
        until("the proxy answers", async || {
            assert!(!process.is_gone(), "{}", process.log());
            let answer = self.client.try_send("GET", "health/live", &[], "").await?;
            (answer.status == 200).then_some(())
        })
        .await;
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
            at: Ipv4Addr::LOCALHOST,
        };
        self.move_elsewhere(&mut deployed);
        deployed
    }

    /// Gives a service that does not run another address.
    pub(crate) fn move_elsewhere(&self, deployed: &mut Deployed) {
        // All of 127.0.0.0/8 is this machine.
        let (b, c, d) = (fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255));
        deployed.at = Ipv4Addr::new(127, b, c, d);
        let listen = format!("{}:{}", deployed.at, self.port);
        deployed.service.client = Client::new(&format!("http://{listen}/"));
        deployed.service.set("LISTEN", listen);
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

impl Drop for Site {
    fn drop(&mut self) {
        self.process = None;
    }
}
