//! The three services as three processes, each with its own database.

use std::net::TcpListener;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use crate::marks::{self, Marks};
use crate::{Client, FreshDatabase, Process, built, until};

/// Which database each service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file for each service.
    Sqlite,
    /// A database for each service.
    Postgres,
}

/// One service: its database and address stay when its process ends.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    settings: Vec<(&'static str, String)>,
    process: Option<Process>,
    directory: tempfile::TempDir,
    /// The address on which it listens.
    pub client: Client,
    /// Its database.
    pub database: FreshDatabase,
}

impl Service {
    /// A service that is not started yet.
    ///
    /// # Panics
    ///
    /// There is no free port, or no database.
    pub async fn new(name: &'static str, backend: Backend) -> Self {
        let database = match backend {
            Backend::Sqlite => FreshDatabase::sqlite(),
            Backend::Postgres => FreshDatabase::postgres().await,
        };
        let address = free_address();
        let base = format!("http://{address}/");
        Self {
            name,
            settings: vec![
                ("DATABASE_URL", database.url().to_owned()),
                ("LISTEN", address),
                ("POLL_INTERVAL", "50ms".to_owned()),
                ("RUST_LOG", marks::LOG.to_owned()),
            ],
            process: None,
            directory: tempfile::tempdir().expect("a temporary directory"),
            client: Client::new(&base),
            database,
        }
    }

    /// Adds a setting for the next start.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.unset(name);
        self.settings.push((name, value));
    }

    /// A command of its program, given by `eve`, for its database; a consumer follows `feed`.
    #[must_use]
    pub fn command(&self, feed: &str, arguments: &[&str]) -> Command {
        let mut command = built(self.name);
        command
            .args(arguments)
            .env("DATABASE_URL", self.database.url())
            .env("BASE_URL", self.client.url(""))
            .env("USER", "eve")
            .env_remove("RUST_LOG");
        if self.name != "order" {
            command.env("FEED_URL", feed);
        }
        command
    }

    /// From the next start on it requires the credentials in `text`, a line each; its client sends
    /// `authorization`.
    ///
    /// # Panics
    ///
    /// The file cannot be written.
    pub fn protect(&mut self, text: &str, authorization: &str) {
        let file = self.file("credentials", text);
        self.set("CREDENTIALS_FILE", file);
        self.client = self.client.showing(authorization);
    }

    /// A file beside its log; returns the path.
    ///
    /// # Panics
    ///
    /// It cannot be written.
    pub fn file(&self, name: &str, text: &str) -> String {
        let file = self.directory.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file.display().to_string()
    }

    /// Removes a setting.
    pub fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| *known != name);
    }

    /// Starts it without waiting for it.
    pub fn launch(&mut self) -> &mut Process {
        let settings: Vec<(&str, &str)> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let process = Process::start(self.name, &settings, self.directory.path());
        self.process.insert(process)
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        let client = self.client.clone();
        self.launch().ready(&client).await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it with SIGTERM; returns its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        process.stop("TERM").await
    }

    /// The rare branches that its processes have taken.
    #[must_use]
    pub fn reached(&self) -> Marks {
        marks::below(self.directory.path())
    }

    /// The process, if it was started.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }
}

/// order, invoice and shipping.
#[derive(Debug)]
pub struct System {
    /// Publishes.
    pub order: Service,
    /// Polls.
    pub invoice: Service,
    /// Polls too.
    pub shipping: Service,
}

impl System {
    /// Three services that are not started yet.
    pub async fn new(backend: Backend) -> Self {
        let order = Service::new("order", backend).await;
        let mut invoice = Service::new("invoice", backend).await;
        let mut shipping = Service::new("shipping", backend).await;
        for consumer in [&mut invoice, &mut shipping] {
            consumer.set("FEED_URL", order.client.url("feed"));
        }
        Self {
            order,
            invoice,
            shipping,
        }
    }

    /// Three services that answer.
    pub async fn started(backend: Backend) -> Self {
        let mut system = Self::new(backend).await;
        for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
            service.start().await;
        }
        system
    }

    /// Places an order for two iPods and one Apple TV; returns its id.
    ///
    /// # Panics
    ///
    /// It is not accepted.
    pub async fn place(&self) -> i64 {
        let answer = self.order.client.post_json("orders", &new_order()).await;
        let answer = answer.expect("the order service answers");
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_i64().expect("a numeric id")
    }

    /// The invoice of an order, once it is there.
    pub async fn invoice(&self, id: i64) -> Value {
        let path = id.to_string();
        let client = &self.invoice.client;
        until(&format!("invoice {id}"), async || client.json(&path).await).await
    }

    /// The shipment of an order, once it is there.
    pub async fn shipment(&self, id: i64) -> Value {
        let path = id.to_string();
        let client = &self.shipping.client;
        until(&format!("shipment {id}"), async || client.json(&path).await).await
    }
}

/// An order as a client sends it; its total is 184.00.
#[must_use]
pub fn new_order() -> Value {
    json!({
        "customer": 1,
        "shippingAddress": {"street": "Main Street 1", "zip": "10115", "city": "Berlin"},
        "billingAddress": {"street": "Side Street 2", "zip": "20095", "city": "Hamburg"},
        "orderLine": [{"item": 1, "count": 2}, {"item": 4, "count": 1}],
    })
}

/// Another order, as a browser sends it; its total is 63.00.
#[must_use]
pub fn new_order_form() -> [(&'static str, &'static str); 9] {
    [
        ("customer", "2"),
        ("shippingAddress.street", "Rue 1"),
        ("shippingAddress.zip", "75005"),
        ("shippingAddress.city", "Paris"),
        ("billingAddress.street", "Rue 2"),
        ("billingAddress.zip", "75005"),
        ("billingAddress.city", "Paris"),
        ("orderLine[0].item", "2"),
        ("orderLine[0].count", "3"),
    ]
}

/// An address that is free now, and that a service can use again after a restart: below the ports
/// that the system gives to outgoing connections.
#[must_use]
pub fn free_address() -> String {
    // In turn: no address is given to two services before the first one listens.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..20_000)));
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % 20_000;
        let address = format!("127.0.0.1:{}", 12_000 + next);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
