//! A running system, with clients and readers, from its start to its evidence.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::tables::{self, is_postgres, number};
use harness::{Client, DEADLINE, load, patiently};

use crate::clients::Clients;
use crate::evidence;
use crate::fleet::Fleet;
use crate::plan::{Fault, Plan, Whose};
use crate::reached;
use crate::readers::Readers;

/// The deadline for what the checker expects within half a minute.
const PATIENCE: Duration = Duration::from_secs(40);

/// The number of the last order, which no client uses.
const LAST: u64 = 4_000_000;

/// Everything that runs.
pub(crate) struct Life {
    pub(crate) fleet: Fleet,
    pub(crate) patience: Duration,
    clients: Clients,
    /// Until when the clients pause.
    calm: Option<Instant>,
    readers: Readers,
}

impl Life {
    pub(crate) async fn start(plan: &Plan, name: &str) -> Self {
        let fleet = Fleet::start(plan, name).await;
        Self::of(fleet, plan)
    }

    /// With services that run already.
    pub(crate) fn of(fleet: Fleet, plan: &Plan) -> Self {
        Self {
            clients: Clients::start(plan, &fleet.front.url, &fleet.history),
            readers: Readers::start(plan, &fleet.feed.url, &fleet.history),
            calm: None,
            fleet,
            patience: PATIENCE,
        }
    }

    /// Continues for a while; an instance that dies is restarted.
    pub(crate) async fn last(&mut self, span: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < span {
            self.fleet.supervise();
            if self.calm.is_some_and(|until| Instant::now() >= until) {
                self.calm = None;
                self.quiet(false);
            }
            let left = span.saturating_sub(begin.elapsed());
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
        }
    }

    /// Continues until `holds`, with a deadline; an instance that dies is restarted.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&Fleet) -> bool) {
        let begin = Instant::now();
        while !holds(&self.fleet).await {
            assert!(begin.elapsed() < DEADLINE, "timed out: {what}");
            self.last(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn inject(&mut self, fault: Fault) {
        if let Fault::Calm(time) = fault {
            self.quiet(true);
            self.calm = Some(Instant::now() + Duration::from_millis(time));
        }
        self.fleet.inject(fault).await;
    }

    /// Pauses the clients, or lets them continue.
    pub(crate) fn quiet(&self, quiet: bool) {
        self.clients.pause(quiet);
    }

    /// Pauses the clients until a second is closed, and the reader by date has got a `304` for its date. An instance that dies
    /// is restarted.
    pub(crate) async fn until_dated(&mut self) {
        let before = self.fleet.history.not_modified_since();
        self.quiet(true);
        self.until("a reader relies on a date", async |fleet| {
            fleet.history.not_modified_since() > before
        })
        .await;
        self.quiet(false);
    }

    /// No more faults, except that frozen processes wake up: waits until everything is applied,
    /// also an order that is placed only now, and returns the directory of the evidence.
    pub(crate) async fn end(mut self) -> PathBuf {
        self.fleet.recover();
        self.fleet.settle().await;
        self.fleet.history.mark("last fault");
        self.clients.stop().await;
        // A system that accepts no orders any more would have nothing left to do.
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
        let newest = number(
            self.fleet.url(Whose::Order),
            "SELECT sequence FROM feed_head",
        )
        .await;
        self.readers.stop(newest).await;
        evidence::write(&self.fleet).await;
        reached::write(&mut self.fleet);
        self.fleet.directory.clone()
    }
}

/// The parked events that a retry will apply: those of a subject whose first one does not wait for an operator. An
/// effect that waits too long for a lock of a frozen instance is retried later.
const TO_RETRY: &str = "SELECT count(*) FROM feed_parked WHERE NOT EXISTS (
    SELECT 1 FROM feed_parked AS first WHERE first.subject = feed_parked.subject
    AND first.reason IS NOT NULL AND first.retry_at IS NULL)";

/// True if all changes are published, and applied by all consumers.
async fn is_level(fleet: &Fleet) -> bool {
    let order = fleet.url(Whose::Order);
    if is_postgres(order) && number(order, "SELECT count(*) FROM feed_outbox").await > 0 {
        return false;
    }
    let newest = number(order, "SELECT sequence FROM feed_head").await;
    for group in fleet.groups[1..].iter().chain(&fleet.sender) {
        let url = group.cluster.database.url();
        if group.cluster.lowest().await < newest || number(url, TO_RETRY).await > 0 {
            return false;
        }
    }
    if !fleet.has_sent_all().await {
        return false;
    }
    let Some(bills) = &fleet.bills else {
        return true;
    };
    let taken = "SELECT count(*) FROM feed_claim";
    tables::try_number(bills.cluster.database.url(), taken).await == Some(newest)
}
