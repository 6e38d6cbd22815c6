//! The program, running and finished.

use std::path::Path;
use std::process::Output;

use harness::{Backend, Client, FreshDatabase, Process, built, free_address, until};
use tempfile::TempDir;

/// An empty database.
pub(crate) async fn database(backend: Backend) -> FreshDatabase {
    match backend {
        Backend::Sqlite => {
            let database = FreshDatabase::sqlite();
            let file = database.url().strip_prefix("sqlite:").unwrap();
            std::fs::File::create(file).unwrap();
            database
        }
        Backend::Postgres => FreshDatabase::postgres().await,
    }
}

/// A command of `feed` that serves on an address of its own.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) client: Client,
    arguments: Vec<String>,
    directory: TempDir,
}

impl Running {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let address = free_address();
        let mut arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        arguments.extend(["--listen".to_owned(), address.clone()]);
        let directory = tempfile::tempdir().unwrap();
        let mut running = Self {
            process: launch(&arguments, directory.path()),
            client: Client::new(&format!("http://{address}/")),
            arguments,
            directory,
        };
        running.ready().await;
        running
    }

    /// Starts it again after its process has ended.
    pub(crate) async fn restart(&mut self) {
        self.process = launch(&self.arguments, self.directory.path());
        self.ready().await;
    }

    async fn ready(&mut self) {
        let (client, process) = (&self.client, &mut self.process);
        until("it is ready", async || {
            assert!(!process.is_gone(), "{}", process.log());
            let answer = client.try_send("GET", "health/ready", &[], "").await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }
}

fn launch(arguments: &[String], directory: &Path) -> Process {
    let settings = [("POLL_INTERVAL", "50ms"), ("RUST_LOG", "info")];
    Process::start_command("feed", built("feed").args(arguments), &settings, directory)
}

/// A feed of the application with this database.
pub(crate) async fn serve(database: &FreshDatabase) -> Running {
    Running::start(&["serve", "--database-url", database.url()]).await
}

/// Publishes an event, as an application does in a transaction of its own.
pub(crate) async fn publish(database: &FreshDatabase, subject: &str, data: &str) {
    let sql = format!(
        "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', '{subject}', '{data}')"
    );
    database.execute(&sql).await;
}

/// Waits until the head of the feed ends with this event: an instance may be a second behind the database.
pub(crate) async fn shows(feed: &Running, sequence: u32) {
    until("the newest event is in the head", async || {
        let head = feed.client.get("feed", &[]).await;
        let newest = head.elements("event:sequence").first().cloned();
        (newest == Some(sequence.to_string())).then_some(())
    })
    .await;
}

/// Runs a command until it has ended: its exit code, its output, and its errors.
pub(crate) async fn run(arguments: &[&str]) -> (i32, String, String) {
    run_with(&[], arguments).await
}

/// The same with variables in the environment.
pub(crate) async fn run_with(
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> (i32, String, String) {
    let mut command = built("feed");
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .env("USER", "eve")
        .env_remove("RUST_LOG");
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output {
        status,
        stdout,
        stderr,
    } = ended.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}
