//! An instance dies, or freezes for longer than its lease, at each step of a batch, and another one
//! continues: one that runs already, or one that starts then.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::gate::{Gate, STEPS, Step};
use harness::tap::{Held, Tap};
use harness::{
    Cluster, FreshDatabase, Instance, PARTITIONS, Service, Story, audit, load, patiently,
};

use crate::compare_with_an_undisturbed_run;

/// Where an instance fails.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// At a statement of the transaction.
    Gate(Step),
    /// At a request, by a part of its target, or at its answer.
    Fetch(&'static str, Held, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `kill -9`.
    Kill,
    /// Frozen until another instance has done its work, then woken up.
    Freeze,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    place: Place,
    fault: Fault,
    /// Another instance runs already; otherwise one starts after the fault.
    beside: bool,
}

const FETCHES: [Place; 4] = [
    Place::Fetch("ask the head", Held::Request, "/feed"),
    Place::Fetch("the head's answer", Held::Answer, "/feed"),
    Place::Fetch("ask for data", Held::Request, "/batch/"),
    Place::Fetch("the data's answer", Held::Answer, "/batch/"),
];

/// Cases at the same time: each has three processes.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_killed_at_any_step_leaves_one_effect_per_event() {
    strike(&cases(Fault::Kill, true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_frozen_at_any_step_writes_nothing_twice() {
    let wanted = ["invoice", "COMMIT", "the data's answer"];
    let mut cases = cases(Fault::Freeze, true);
    cases.retain(|case| wanted.contains(&case.place.name()));
    strike(&cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long"]
async fn the_whole_matrix() {
    let mut all = cases(Fault::Kill, false);
    all.extend(cases(Fault::Freeze, true));
    all.extend(cases(Fault::Freeze, false));
    for some in all.chunks(AT_ONCE) {
        strike(some).await;
    }
}

fn cases(fault: Fault, beside: bool) -> Vec<Case> {
    let places = STEPS.iter().copied().map(Place::Gate).chain(FETCHES);
    places
        .map(|place| Case {
            place,
            fault,
            beside,
        })
        .collect()
}

impl Place {
    fn name(&self) -> &'static str {
        match self {
            Self::Gate(step) => step.name,
            Self::Fetch(name, ..) => name,
        }
    }
}

/// A case whose instances wait for events.
struct Ready {
    case: Case,
    victim: Instance,
    other: Option<Instance>,
    gate: Option<Gate>,
    tap: Tap,
    /// With the logs, and so dropped last.
    cluster: Cluster,
}

/// One feed for all cases, each with a database of its own.
async fn strike(cases: &[Case]) {
    let order = load::order().await;
    let url = order.client.url("");
    let ready = join_all(cases.iter().map(|case| Ready::new(*case, &url))).await;
    tell(&order, 60, 900_000).await;
    let struck = join_all(ready.into_iter().map(Ready::strike)).await;
    // All of them continue, and nothing that was left behind delays them.
    tell(&order, 12, 990_000).await;
    let story = Story::of(order.database.url()).await;
    let lags = join_all(
        struck
            .iter()
            .map(|(ready, _)| story.applied_by(&ready.cluster)),
    )
    .await;
    for ((Ready { case, cluster, .. }, took), lag) in struck.iter().zip(lags) {
        story.check(cluster).await;
        let beside = if case.beside { "beside" } else { "after" };
        println!(
            "{:<18} {:?}, another {beside} it: taken over after {took:.1?}, all taken {lag:.1?} later",
            case.place.name(),
            case.fault,
        );
    }
    let clusters: Vec<&Cluster> = struck.iter().map(|(ready, _)| &ready.cluster).collect();
    compare_with_an_undisturbed_run(&story, &clusters, &order.client.url("feed")).await;
}

/// Orders, cancellations, and events that cannot be applied.
async fn tell(order: &Service, orders: u64, odd: i64) {
    let client = &order.client;
    load::place_many(client, orders).await;
    load::write_odd(order.database.url(), odd, 12).await;
    load::published(order).await;
}

impl Ready {
    async fn new(case: Case, order: &str) -> Self {
        let tap = Tap::before(order).await;
        if matches!(case.place, Place::Fetch(.., "/batch/")) {
            tap.link_to_data();
        }
        let database = FreshDatabase::postgres().await;
        let mut cluster = Cluster::new("invoice", database, &tap.url("feed"));
        cluster.prepare().await;
        audit::install(cluster.database.url(), "invoice").await;
        let victim = cluster.start("victim").await;
        cluster.feed_url = format!("{order}feed");
        let other = match case.beside {
            true => Some(cluster.start("other").await),
            false => None,
        };
        match case.beside {
            true => cluster.spread(&["victim", "other"]).await,
            false => cluster.spread(&["victim"]).await,
        }
        let mut gate = None;
        match case.place {
            Place::Gate(step) => {
                gate = Some(Gate::close(cluster.database.url(), step, "victim").await);
            }
            Place::Fetch(_, held, part) => tap.hold(held, part),
        }
        Self {
            case,
            cluster,
            victim,
            other,
            gate,
            tap,
        }
    }

    /// Applies the fault to the waiting instance; returns how long the other one took to apply all.
    async fn strike(mut self) -> (Self, Duration) {
        match &self.gate {
            Some(gate) => gate.waiting().await,
            None => self.tap.waiting().await,
        }
        let begin = Instant::now();
        match self.case.fault {
            Fault::Kill => self.victim.process.kill(),
            Fault::Freeze => self.victim.process.signal("STOP"),
        }
        if let Some(gate) = self.gate.take() {
            gate.open().await;
        }
        self.tap.open();
        if self.other.is_none() {
            self.other = Some(self.cluster.start("other").await);
        }
        let cluster = &self.cluster;
        patiently("the other one has all", async || {
            (cluster.held("other").await == PARTITIONS).then_some(())
        })
        .await;
        let took = begin.elapsed();
        if self.case.fault == Fault::Freeze {
            let newest = self.newest().await;
            patiently("the other one has done the work", async || {
                (cluster.lowest().await >= newest).then_some(())
            })
            .await;
            self.victim.process.signal("CONT");
            cluster.spread(&["victim", "other"]).await;
        }
        (self, took)
    }

    /// The newest cursor of the other one in the partitions that it held from the beginning.
    async fn newest(&self) -> i64 {
        let sql = "SELECT max(sequence) FROM feed_partition";
        harness::tables::number(self.cluster.database.url(), sql).await
    }
}
