//! The clients of Durable Streams from npm and `PyPI`, unmodified, at the order service.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Backend, Process, Service, patiently, programs, tables, until};

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
    let directory = tempfile::tempdir().unwrap();
    let mut clients = Vec::new();
    for live in ["long-poll", "sse"] {
        for (language, command) in [("javascript", javascript()), ("python", python())] {
            if let Some(mut command) = command {
                let name = format!("{language}-{live}");
                clients.push(Client::start(
                    &mut command,
                    name,
                    live,
                    &order,
                    directory.path(),
                ));
            }
        }
    }
    if clients.is_empty() {
        return;
    }
    let url = order.database.url().to_owned();
    tokio::join!(publish(&url), kill(&mut order, &clients));
    let ids = "SELECT sequence || ' ' || lower(CAST(id AS TEXT)) FROM feed_log ORDER BY sequence";
    let published = tables::texts(order.database.url(), ids).await;
    assert_eq!(published.len(), EVENTS);
    for client in clients {
        patiently("a client has got all", async || {
            (client.seen().len() >= EVENTS).then_some(())
        })
        .await;
        let seen = client.seen();
        let differs = seen
            .iter()
            .zip(&published)
            .find(|(one, other)| one != other);
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
    fn start(
        command: &mut Command,
        name: String,
        live: &str,
        order: &Service,
        directory: &Path,
    ) -> Self {
        let url = order.client.url("feed/stream");
        let command = command.args([&url, live, &EVENTS.to_string()]);
        Self {
            process: Process::start_command(&name, command, &[], directory),
            name,
        }
    }

    fn seen(&self) -> Vec<String> {
        let log = self.process.log();
        // The last line may be half written; errors are no events.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let events = whole
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        events.map(str::to_owned).collect()
    }
}

/// A copy beside the library: there node looks for it.
fn javascript() -> Option<Command> {
    let program = programs::installed("streams")?.join("streams.mjs");
    std::fs::copy(source("streams.mjs"), &program).unwrap();
    let mut command = Command::new("node");
    command.arg(program);
    Some(command)
}

fn python() -> Option<Command> {
    let mut command = programs::tool("python3")?;
    command.arg(source("streams.py"));
    Some(command)
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("languages")
        .join(name)
}
