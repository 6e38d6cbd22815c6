//! A shop for the browser: one process with all three services, and access to its databases.

use std::path::PathBuf;

use harness::{Client, Process, free_address, until};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tempfile::TempDir;

/// A running shop. It is removed with its data.
#[derive(Debug)]
pub(crate) struct Shop {
    /// Where it listens.
    pub(crate) client: Client,
    address: String,
    process: Option<Process>,
    directory: TempDir,
}

/// A database that is locked for all other writers.
#[derive(Debug)]
pub(crate) struct Held(SqliteConnection);

impl Shop {
    pub(crate) async fn open() -> Self {
        let address = free_address();
        let mut shop = Self {
            client: Client::new(&format!("http://{address}/")),
            address,
            process: None,
            directory: tempfile::tempdir().unwrap(),
        };
        shop.start().await;
        shop
    }

    async fn start(&mut self) {
        let data = self.directory.path().join("data");
        let settings = [
            ("LISTEN", self.address.as_str()),
            ("DATA_DIR", data.to_str().unwrap()),
            ("POLL_INTERVAL", "50ms"),
            ("SENDER", "Shop Ltd, Harbour Road 9, 20457 Hamburg"),
        ];
        let mut process = Process::start("shop", &settings, self.directory.path());
        process.ready(&self.client).await;
        self.process = Some(process);
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        self.client.url(path)
    }

    /// Places an order without the pages; returns its id.
    pub(crate) async fn place(&self, order: &Value) -> i64 {
        let placed = self.client.post_json("order/orders", order).await.unwrap();
        assert_eq!(placed.status, 201, "{}", placed.body);
        placed.json()["id"].as_i64().unwrap()
    }

    /// Waits until an order's invoice and shipment are there.
    pub(crate) async fn delivered(&self, order: i64) {
        for service in ["invoice", "shipping"] {
            self.delivered_to(service, order).await;
        }
    }

    /// Waits until a service has taken an order.
    pub(crate) async fn delivered_to(&self, service: &str, order: i64) {
        let path = format!("{service}/{order}");
        until(&path, async || self.client.json(&path).await).await;
    }

    /// Starts one more instance of a consumer, on the shop's own file.
    pub(crate) async fn second_instance(&self, service: &str) -> Process {
        let address = free_address();
        let database = format!("sqlite:{}", self.file(service).display());
        let settings = [
            ("LISTEN", address.as_str()),
            ("DATABASE_URL", &database),
            ("FEED_URL", &self.url("order/feed")),
            ("INSTANCE", "second"),
        ];
        let directory = self.directory.path().join("second");
        std::fs::create_dir_all(&directory).unwrap();
        let mut process = Process::start(service, &settings, &directory);
        let client = Client::new(&format!("http://{address}/"));
        process.ready(&client).await;
        process
    }

    /// Waits until a document has a value.
    pub(crate) async fn has(&self, path: &str, member: &str, value: Value) {
        until(&format!("{path}: {member} is {value}"), async || {
            (self.client.json(path).await?[member] == value).then_some(())
        })
        .await;
    }

    /// Waits until a document has another value.
    pub(crate) async fn has_not(&self, path: &str, member: &str, value: Value) {
        until(
            &format!("{path}: {member} is no longer {value}"),
            async || (self.client.json(path).await?[member] != value).then_some(()),
        )
        .await;
    }

    /// How many orders there are.
    pub(crate) async fn orders(&self) -> Value {
        self.client.json("order/").await.unwrap()["count"].clone()
    }

    fn file(&self, service: &str) -> PathBuf {
        self.directory.path().join(format!("data/{service}.db"))
    }

    async fn database(&self, service: &str) -> SqliteConnection {
        let url = format!("sqlite:{}", self.file(service).display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    /// Runs statements in a service's database, past the service.
    pub(crate) async fn execute(&self, service: &str, sql: &str) {
        let mut database = self.database(service).await;
        let sql = AssertSqlSafe(sql.to_owned());
        database.execute(sql).await.unwrap();
    }

    /// From now on the service's database can be read and not written, so that nothing arrives
    /// there.
    pub(crate) async fn hold(&self, service: &str) -> Held {
        let mut database = self.database(service).await;
        database.execute("BEGIN IMMEDIATE").await.unwrap();
        Held(database)
    }

    /// Restarts with another order service, whose feed the consumers do not know.
    pub(crate) async fn forget_the_orders(&mut self) {
        let mut process = self.process.take().unwrap();
        assert_eq!(process.stop("TERM").await, Some(0));
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.file("order").into_os_string();
            file.push(suffix);
            // The last two exist only after a crash.
            let _ = std::fs::remove_file(file);
        }
        self.start().await;
    }
}

impl Held {
    /// Lets waiting writers continue.
    pub(crate) async fn release(self) {
        self.0.close().await.unwrap();
    }
}

/// An order of customer 1, with as many lines as there are counts; the first is two iPods.
pub(crate) fn order(street: &str) -> Value {
    let address = json!({"street": street, "zip": "10115", "city": "Berlin"});
    json!({
        "customer": 1,
        "shippingAddress": address,
        "billingAddress": address,
        "orderLine": [{"item": 1, "count": 2}, {"item": 4, "count": 1}],
    })
}
