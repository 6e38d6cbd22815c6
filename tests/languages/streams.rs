//! The clients of Durable Streams from npm and `PyPI`, unmodified, at the order service.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Backend, Process, Service, patiently, programs, tables, until};
use tempfile::TempDir;

harness::on_both_backends! {
    clients_see_each_event_once_and_in_order_while_the_server_is_killed
}

const EVENTS: usize = 10_000;

/// How many a transaction of the publisher has.
const AT_ONCE: usize = 50;

/// How often the server is killed.
const KILLS: usize = 5;

async fn clients_see_each_event_once_and_in_order_while_the_server_is_killed(backend: Backend) {
    let mut order = Service::new("order", backend).await;
    order.start().await;
    let directory = directory();
    let mut clients = Vec::new();
    for live in ["long-poll", "sse"] {
        clients.extend(Client::javascript(live, &order, directory.path()));
        clients.extend(Client::python(live, &order, directory.path()));
    }
    if clients.is_empty() {
        return;
    }
    let url = order.database.url().to_owned();
    tokio::join!(publish(&url), kill(&mut order, &clients));
    for client in &clients {
        patiently("a client has got all", async || {
            (client.seen().len() >= EVENTS).then_some(())
        })
        .await;
    }
    let ids = "SELECT sequence || ' ' || lower(CAST(id AS TEXT)) FROM feed_log ORDER BY sequence";
    let published = tables::texts(&url, ids).await;
    assert_eq!(published.len(), EVENTS);
    for client in clients {
        let seen = client.seen();
        let mut both = seen.iter().zip(&published);
        let differs = both.find(|(one, other)| one != other);
        assert_eq!((differs, seen.len()), (None, EVENTS), "{}", client.name);
    }
}

/// Publishes past the service, also while it is down.
async fn publish(url: &str) {
    for first in (1..=EVENTS).step_by(AT_ONCE) {
        let events = (first..first + AT_ONCE)
            .map(|n| format!(r#"('order.painted', 'order/{n}', '{{"id": {n}}}')"#))
            .collect::<Vec<_>>()
            .join(",");
        let sql = format!("INSERT INTO feed_outbox (event_type, subject, data) VALUES {events}");
        until("the database takes them", async || {
            tables::try_run(url, &sql).await.ok()
        })
        .await;
    }
}

/// `kill -9`, whenever the fastest client has got so far.
async fn kill(order: &mut Service, clients: &[Client]) {
    for kill in 1..=KILLS {
        until("a client has got so far", async || {
            let seen = clients.iter().map(|client| client.seen().len()).max();
            (seen? >= EVENTS * kill / (KILLS + 1)).then_some(())
        })
        .await;
        order.kill();
        order.start().await;
    }
}

/// A program around a client, which prints a line for each event.
struct Client {
    name: String,
    process: Process,
}

impl Client {
    fn javascript(live: &str, order: &Service, directory: &Path) -> Option<Self> {
        programs::installed("streams")?;
        let program = directory.join(format!("{live}.mjs"));
        std::fs::copy(source("client.mjs"), &program).unwrap();
        let mut command = Command::new("node");
        command.arg(program);
        Some(Self::start(command, "javascript", live, order, directory))
    }

    fn python(live: &str, order: &Service, directory: &Path) -> Option<Self> {
        let mut command = programs::tool("python3")?;
        command.arg(source("client.py"));
        Some(Self::start(command, "python", live, order, directory))
    }

    fn start(
        mut command: Command,
        language: &str,
        live: &str,
        order: &Service,
        directory: &Path,
    ) -> Self {
        let name = format!("{language}-{live}");
        let url = order.client.url("feed/stream");
        command.args([&url, live, &EVENTS.to_string()]);
        Self {
            process: Process::start_command(&name, &mut command, &[], directory),
            name,
        }
    }

    /// The sequence and the id of each event.
    fn seen(&self) -> Vec<String> {
        let log = self.process.log();
        // The last line may be half written; errors are no events.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let is_event = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
        whole.lines().filter(is_event).map(str::to_owned).collect()
    }
}

/// Beside the library, if there is one: there node looks for it.
fn directory() -> TempDir {
    let libraries = programs::installed("streams").unwrap_or_else(std::env::temp_dir);
    tempfile::tempdir_in(libraries).unwrap()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("languages/streams")
        .join(name)
}
