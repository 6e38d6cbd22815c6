//! A system at work, with clients and readers, from its start to its evidence.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::tables::{is_postgres, number};
use harness::{Client, DEADLINE, load, patiently};

use crate::clients::Clients;
use crate::evidence;
use crate::fleet::Fleet;
use crate::plan::{Plan, Whose};
use crate::readers::Readers;

/// How long to wait for what the checker wants within half a minute.
const PATIENCE: Duration = Duration::from_secs(40);

/// The number of the last order, which is none of a client's.
const LAST: u64 = 4_000_000;

/// Everything that runs.
pub(crate) struct Life {
    pub(crate) fleet: Fleet,
    pub(crate) patience: Duration,
    clients: Clients,
    readers: Readers,
}

impl Life {
    pub(crate) async fn start(plan: &Plan, name: &str) -> Self {
        let fleet = Fleet::start(plan, name).await;
        Self::of(fleet, plan)
    }

    /// Of services that run.
    pub(crate) fn of(fleet: Fleet, plan: &Plan) -> Self {
        Self {
            clients: Clients::start(plan, &fleet.front.url, &fleet.history),
            readers: Readers::start(plan, &fleet.front.url, &fleet.history),
            fleet,
            patience: PATIENCE,
        }
    }

    /// Goes on for a while; who dies is started again.
    pub(crate) async fn last(&mut self, span: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < span {
            self.fleet.supervise();
            let left = span.saturating_sub(begin.elapsed());
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
        }
    }

    /// Goes on until `holds`, with a deadline; who dies is started again.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&Fleet) -> bool) {
        let begin = Instant::now();
        while !holds(&self.fleet).await {
            assert!(begin.elapsed() < DEADLINE, "in vain: {what}");
            self.last(Duration::from_millis(100)).await;
        }
    }

    /// Has the clients pause, or go on.
    pub(crate) fn quiet(&self, quiet: bool) {
        self.clients.pause(quiet);
    }

    /// From here on nothing happens but that the frozen ones wake up: waits until all is taken, an order
    /// that comes only now, too, and returns where the evidence is.
    pub(crate) async fn end(mut self) -> PathBuf {
        self.fleet.settle().await;
        self.fleet.history.mark("last fault");
        self.clients.stop().await;
        // A system that takes no orders any more would have nothing left to do.
        let client = Client::new(&self.fleet.front.url);
        patiently("an order is taken", async || {
            load::place(&client, LAST).await
        })
        .await;
        let begin = Instant::now();
        while begin.elapsed() < self.patience {
            if is_level(&self.fleet).await {
                self.fleet.history.mark("level");
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.readers.stop().await;
        evidence::write(&self.fleet).await;
        self.fleet.directory.clone()
    }
}

/// True if all that is written is told, and taken by all.
async fn is_level(fleet: &Fleet) -> bool {
    let order = fleet.url(Whose::Order);
    if is_postgres(order) && number(order, "SELECT count(*) FROM feed_outbox").await > 0 {
        return false;
    }
    let newest = number(order, "SELECT sequence FROM feed_head").await;
    for group in &fleet.groups[1..] {
        if group.cluster.lowest().await < newest {
            return false;
        }
    }
    true
}
