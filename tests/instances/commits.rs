//! The result of a commit is unknown, a transaction loses its connection, or waits in a deadlock:
//! none of that parks an event, and the work continues.

use std::time::Duration;

use harness::gate::{Gate, STEPS};
use harness::marks::assert_reached;
use harness::wire::{Lost, Wire};
use harness::{Cluster, FreshDatabase, Instance, Service, Story, audit, load, patiently, tables};
use sqlx::{Connection, Executor, PgConnection};

use crate::compare_with_an_undisturbed_run;

/// Two instances that share the work, and an order service.
struct Two {
    order: Service,
    instances: [Instance; 2],
    /// With the logs, and so dropped last.
    cluster: Cluster,
}

impl Two {
    /// Instances that reach their database through `wire`, if there is one.
    async fn new(settings: &str, lost: Option<Lost>) -> (Self, Option<Wire>) {
        let order = load::order().await;
        let database = FreshDatabase::postgres().await;
        if !settings.is_empty() {
            let name = tables::texts(database.url(), "SELECT current_database()::text").await;
            tables::run(database.url(), &settings.replace("@NAME@", &name[0])).await;
        }
        let mut cluster = Cluster::new("invoice", database, &order.client.url("feed"));
        cluster.prepare().await;
        audit::install(cluster.database.url(), "invoice").await;
        let wire = match lost {
            Some(lost) => Some(Wire::before(cluster.database.url(), lost).await),
            None => None,
        };
        if let Some(wire) = &wire {
            cluster.database_url.clone_from(&wire.url);
        }
        let instances = [cluster.start("one").await, cluster.start("two").await];
        cluster.spread(&["one", "two"]).await;
        let two = Self {
            order,
            cluster,
            instances,
        };
        (two, wire)
    }

    /// Places orders while `disturb` runs again and again; then checks.
    async fn disturbed(self, orders: u64, mut disturb: impl AsyncFnMut()) {
        let client = self.order.client.clone();
        let placing = tokio::spawn(async move { load::place_many(&client, orders).await });
        while !placing.is_finished() {
            disturb().await;
        }
        placing.await.unwrap();
        self.check().await;
    }

    async fn check(&self) {
        load::published(&self.order).await;
        let story = Story::of(self.order.database.url()).await;
        let lag = story.check(&self.cluster).await;
        println!("all taken after {lag:.1?}");
        let feed = self.order.client.url("feed");
        compare_with_an_undisturbed_run(&story, &[&self.cluster], &feed).await;
    }
}

async fn commits_get_lost(lost: Lost) {
    let (two, wire) = Two::new("", Some(lost)).await;
    let wire = wire.unwrap();
    wire.lose(3);
    let client = &two.order.client;
    let losses = patiently("commits get lost", async || {
        load::place_many(client, 40).await;
        Some(wire.losses()).filter(|losses| *losses >= 5)
    });
    println!("{} commits were lost ({lost:?})", losses.await);
    wire.lose(0);
    two.check().await;
    // Those of batches are among them.
    assert_reached(&two.cluster.reached(), &["CommitUnknown"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_confirmed_has_one_effect() {
    commits_get_lost(Lost::Answer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrives_has_one_effect() {
    commits_get_lost(Lost::Request).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_at_random_lose_nothing() {
    let (two, _) = Two::new("", None).await;
    let url = two.cluster.database.url().to_owned();
    let mut cut = 0;
    two.disturbed(300, async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        cut += terminate(&url).await;
    })
    .await;
    println!("{cut} connections were cut");
    assert!(cut > 5, "only {cut} connections were cut");
}

/// Cuts one connection of an instance; returns how many there were to cut.
pub(crate) async fn terminate(url: &str) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM
               (SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND application_name <> '' ORDER BY random() LIMIT 1) AS victim";
    tables::number(url, sql).await
}

/// A transaction of another session locks the same as a batch, in the opposite order; ours is
/// rolled back, since it waits last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_parks_no_event() {
    let quick = "ALTER DATABASE @NAME@ SET deadlock_timeout = '20ms'";
    let (two, _) = Two::new(quick, None).await;
    let url = two.cluster.database.url().to_owned();
    load::place_many(&two.order.client, 4).await;
    // So that invoices follow, which take numbers.
    let newest = load::published(&two.order).await;
    patiently("all of that is taken", async || {
        (two.cluster.lowest().await >= newest).then_some(())
    })
    .await;
    let claimed = STEPS.iter().find(|step| step.name == "claimed").unwrap();
    let gate = Gate::close(&url, *claimed, "one").await;
    load::place_many(&two.order.client, 40).await;
    gate.waiting().await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let first = "SET deadlock_timeout = '1min'; BEGIN; UPDATE invoice_counter SET next = next";
    other.execute(first).await.unwrap();
    let then = "SELECT FROM feed_partition WHERE lease_owner LIKE 'one-%' FOR UPDATE; COMMIT";
    let circle = tokio::spawn(async move { other.execute(then).await.map(drop) });
    patiently("the other waits", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND query LIKE 'SELECT FROM%COMMIT'
                         AND wait_event_type = 'Lock'";
        (tables::number(&url, waiting).await == 1).then_some(())
    })
    .await;
    gate.open().await;
    circle.await.unwrap().unwrap();
    // The other session continues as soon as we are rolled back, and our log has it a moment later.
    patiently("a round of ours has failed by a deadlock", async || {
        let log = two.instances[0].process.log();
        log.contains("deadlock detected").then_some(())
    })
    .await;
    two.check().await;
}
