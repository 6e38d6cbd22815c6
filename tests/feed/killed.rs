//! A consumer of another team that is killed again and again, also during a transaction.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::gate::{FOR_EVER, held_on_sqlite};
use harness::programs::program;
use harness::tables::run;
use harness::{Client, Process, Service, built, free_address, new_order, until};
use sqlx::{Connection, SqliteConnection};
use tokio_util::sync::CancellationToken;

use crate::publisher::newest;

/// A consumer with a SQLite file of its own.
pub(crate) struct Consumer {
    name: &'static str,
    command: Command,
    /// Its table of claims.
    claims: &'static str,
    /// What a kill leaves behind that would otherwise time out.
    leftovers: &'static str,
    pub(crate) url: String,
    directory: tempfile::TempDir,
}

impl Consumer {
    pub(crate) fn python(feed: &str) -> Self {
        let mut command = program("python3");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("consumer.py");
        command.arg(script).args([feed, "consumer.db"]);
        Self::new("python", command, "claim", "")
    }

    /// With a client of its pages.
    pub(crate) fn sales(feed: &str) -> (Self, Client) {
        let mut command = built("examples/sales");
        let listen = free_address();
        command.envs([
            ("FEED_URL", feed),
            ("LISTEN", &listen),
            ("DATABASE_URL", "sqlite:consumer.db"),
        ]);
        let leases = "UPDATE feed_partition SET lease_owner = NULL; DELETE FROM feed_instance";
        let sales = Self::new("sales", command, "feed_claim", leases);
        (sales, Client::new(&format!("http://{listen}/")))
    }

    fn new(
        name: &'static str,
        mut command: Command,
        claims: &'static str,
        leftovers: &'static str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        command.current_dir(directory.path());
        Self {
            name,
            command,
            claims,
            leftovers,
            url: format!("sqlite:{}", directory.path().join("consumer.db").display()),
            directory,
        }
    }

    pub(crate) fn start(&mut self) -> Process {
        Process::start_command(self.name, &mut self.command, &[], self.directory.path())
    }

    pub(crate) async fn kill(&self, mut process: Process) {
        process.kill();
        run(&self.url, self.leftovers).await;
    }

    /// The number of events that it has applied.
    pub(crate) async fn taken(&self) -> i64 {
        count(&self.url, self.claims).await.unwrap_or(0)
    }

    /// Waits until it has applied so many.
    pub(crate) async fn takes(&self, goal: i64) {
        let what = format!("{} has taken {goal} events", self.name);
        until(&what, async || (self.taken().await >= goal).then_some(())).await;
    }

    /// Follows a feed with a history while orders are placed and cancelled. It is killed while it
    /// waits at each of the gates, which are inside its transaction, and at random moments after
    /// that. In the end so many `instances` apply the rest; they keep running.
    pub(crate) async fn lives(
        &mut self,
        order: &mut Service,
        gates: &[&str],
        instances: usize,
    ) -> Vec<Process> {
        let client = order.client.clone();
        let mut published = newest(&client).await;
        let closing = CancellationToken::new();
        let trading = tokio::spawn(trade_until(closing.clone(), client.clone()));
        self.killed_at_random().await;
        for gate in gates {
            // So that there is an event to apply.
            published += trade(&client, 2).await;
            let gate = format!("CREATE TRIGGER test_gate {gate} BEGIN {FOR_EVER}; END");
            run(&self.url, &gate).await;
            let process = self.start();
            held_on_sqlite(&self.url, 1_000).await;
            self.kill(process).await;
            run(&self.url, "DROP TRIGGER test_gate").await;
            self.killed_at_random().await;
        }
        closing.cancel();
        published += trading.await.unwrap();
        let running = (0..instances).map(|_| self.start()).collect();
        // They survive that the feed is down.
        assert_eq!(order.stop().await, Some(0));
        order.start().await;
        published += trade(&client, 20).await;
        self.takes(published as i64).await;
        running
    }

    /// Dies soon after it has applied something.
    async fn killed_at_random(&mut self) {
        let before = self.taken().await;
        let process = self.start();
        self.takes(before + 1).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..40))).await;
        self.kill(process).await;
    }
}

/// Places orders, and cancels every third; returns the number of their events.
async fn trade(client: &Client, orders: usize) -> usize {
    let mut events = 0;
    for n in 0..orders {
        let answer = client.post_json("orders", &new_order()).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        if n % 3 == 0 {
            let cancel = format!("order/{}/cancel", answer.json()["id"]);
            assert_eq!(client.post_form(&cancel, &[]).await.status, 303);
            events += 1;
        }
        events += 1;
    }
    events
}

/// Trades slowly until `closing`; returns the number of the events.
async fn trade_until(closing: CancellationToken, client: Client) -> usize {
    let mut events = 0;
    while !closing.is_cancelled() {
        events += trade(&client, 3).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    events
}

/// The rows of a table, once it is there.
pub(crate) async fn count(url: &str, table: &str) -> Option<i64> {
    let mut connection = SqliteConnection::connect(url).await.ok()?;
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(sql)
        .fetch_one(&mut connection)
        .await
        .ok()
}
