//! Several instances of one consumer on one database, each a process of its own.

use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;

use crate::marks::{self, Marks};
use crate::tables::{is_postgres, number};
use crate::{Client, FreshDatabase, Process, built, free_address, patiently, programs};

/// Partitions of a subscription.
pub const PARTITIONS: i64 = 16;

/// A consumer and its database; instances are started and stopped.
#[derive(Debug)]
pub struct Cluster {
    /// The service: `invoice` or `shipping`.
    pub service: &'static str,
    /// The one database.
    pub database: Arc<FreshDatabase>,
    /// What is started: a program of ours, or the path of another one, with its arguments. The service itself, unless a test
    /// says otherwise.
    pub program: Vec<String>,
    /// The feed that it follows.
    pub feed_url: String,
    /// The address of the database as the instances reach it; a test may put a proxy between.
    pub database_url: String,
    /// What the instances log.
    pub log: &'static str,
    /// Removed after the processes.
    directory: tempfile::TempDir,
}

/// One process.
#[derive(Debug)]
pub struct Instance {
    /// Its `INSTANCE`, and its `application_name` at the database, unless they were chosen
    /// separately.
    pub name: String,
    /// The process.
    pub process: Process,
    /// The address on which it listens.
    pub client: Client,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Cluster {
    /// A consumer without instances on an empty database.
    #[must_use]
    pub fn new(
        service: &'static str,
        database: impl Into<Arc<FreshDatabase>>,
        feed_url: &str,
    ) -> Self {
        let database = database.into();
        Self {
            service,
            database_url: database.url().to_owned(),
            database,
            program: vec![service.to_owned()],
            feed_url: feed_url.to_owned(),
            log: marks::LOG,
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// Creates the tables, and stops again: so that triggers can be added before any event.
    pub async fn prepare(&self) {
        let nowhere = [("FEED_URL", "http://127.0.0.1:9/feed")];
        let mut first = self.launch_with("first", "first", &nowhere);
        first.ready().await;
        assert_eq!(first.process.stop("TERM").await, Some(0));
    }

    /// Starts an instance without waiting for it.
    #[must_use]
    pub fn launch(&self, name: &str) -> Instance {
        self.launch_with(name, name, &[])
    }

    /// Starts an instance with settings of its own.
    #[must_use]
    pub fn launch_with(&self, name: &str, application: &str, more: &[(&str, &str)]) -> Instance {
        let address = free_address();
        let database_url = if is_postgres(&self.database_url) {
            let separator = if self.database_url.contains('?') {
                '&'
            } else {
                '?'
            };
            format!(
                "{}{separator}application_name={application}",
                self.database_url
            )
        } else {
            self.database_url.clone()
        };
        let mut settings = vec![
            ("DATABASE_URL", database_url.as_str()),
            ("LISTEN", &address),
            ("FEED_URL", &self.feed_url),
            ("INSTANCE", name),
            ("POLL_INTERVAL", "50ms"),
            ("RUST_LOG", self.log),
        ];
        settings.extend_from_slice(more);
        let directory = self.directory.path().join(application);
        std::fs::create_dir_all(&directory).expect("a directory for the log");
        let mut command = built(&self.program[0]);
        command.args(&self.program[1..]);
        Instance {
            name: name.to_owned(),
            process: Process::start_command(self.service, &mut command, &settings, &directory),
            client: Client::new(&format!("http://{address}/")),
        }
    }

    /// Starts an instance, and waits until it answers.
    pub async fn start(&self, name: &str) -> Instance {
        let mut instance = self.launch(name);
        instance.ready().await;
        instance
    }

    /// Executes a command of an operator on its database, and waits for its end. It goes to the database itself: a proxy
    /// of the test is for the instances alone.
    pub async fn command(&self, arguments: &[&str]) -> ExitStatus {
        self.output(arguments).await.status
    }

    /// The same, with what it has printed.
    pub async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = built(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(arguments)
            .env("DATABASE_URL", self.database.url())
            .env("FEED_URL", &self.feed_url)
            .env("USER", "operator")
            .stdin(Stdio::null());
        programs::run(command).await
    }

    /// How many partitions are held under a name, by leases that have not expired.
    pub async fn held(&self, name: &str) -> i64 {
        let now = match is_postgres(self.database.url()) {
            true => "clock_timestamp()",
            false => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        };
        let sql = format!(
            "SELECT count(*) FROM feed_partition
             WHERE lease_owner LIKE '{name}-%' AND lease_until > {now}"
        );
        number(self.database.url(), &sql).await
    }

    /// Waits until each of these has its fair share of the partitions, and no partition is left.
    pub async fn spread(&self, names: &[&str]) {
        let share = PARTITIONS / names.len() as i64;
        patiently("the work is spread", async || {
            let mut all = 0;
            for name in names {
                let held = self.held(name).await;
                if held < share {
                    return None;
                }
                all += held;
            }
            (all == PARTITIONS).then_some(())
        })
        .await;
    }

    /// The rare branches that its instances have taken, also those that were killed.
    #[must_use]
    pub fn reached(&self) -> Marks {
        marks::below(self.directory.path())
    }

    /// The lines in which its instances have logged that they panicked, also those that were killed.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        let logs = marks::logs_below(self.directory.path());
        let lines = logs.iter().flat_map(|log| log.lines());
        let panics = lines.filter(|line| line.contains("panicked at"));
        panics.map(str::to_owned).collect()
    }

    /// The lowest cursor of all partitions.
    pub async fn lowest(&self) -> i64 {
        let sql = "SELECT COALESCE(min(sequence), 0) FROM feed_partition";
        number(self.database.url(), sql).await
    }
}

impl Instance {
    /// Waits until it answers.
    pub async fn ready(&mut self) {
        self.process.ready(&self.client).await;
    }
}
