//! How the work is shared: it spreads when an instance joins, and moves when one leaves.

use std::time::{Duration, Instant};

use harness::tap::{Held, Tap};
use harness::{Cluster, FreshDatabase, PARTITIONS, Story, audit, load, tables, until};

use crate::compare_with_an_undisturbed_run;

/// The term of a lease, and the interval of its renewal.
const LEASE: Duration = Duration::from_secs(10 + 3);

/// What a loaded machine may add.
const GRACE: Duration = Duration::from_secs(15);

/// Waits until `name` holds so many partitions; returns how long that took.
async fn holds(cluster: &Cluster, name: &str, count: i64) -> Duration {
    let begin = Instant::now();
    let what = format!("{name} has {count} partitions");
    until(&what, async || {
        (cluster.held(name).await == count).then_some(())
    })
    .await;
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_spreads_when_instances_join_and_moves_when_they_leave() {
    let order = load::order().await;
    let database = FreshDatabase::postgres().await;
    let cluster = Cluster::new("invoice", database, &order.client.url("feed"));
    cluster.prepare().await;
    audit::install(cluster.database.url(), "invoice").await;
    let mut one = cluster.start("one").await;
    holds(&cluster, "one", PARTITIONS).await;

    let mut two = cluster.start("two").await;
    let joined = holds(&cluster, "two", PARTITIONS / 2).await;
    println!("work spreads {joined:.2?} after an instance has joined");
    assert!(joined < Duration::from_secs(3) + GRACE);

    assert_eq!(two.process.stop("TERM").await, Some(0));
    let left = holds(&cluster, "one", PARTITIONS).await;
    println!("work moves {left:.2?} after an instance has stopped orderly");
    // A second on an idle machine. Without a release, it would be the term of a lease.
    assert!(left < LEASE / 2, "after an orderly stop: {left:?}");

    let mut more = Vec::new();
    for name in ["three", "four", "five", "six", "seven", "eight", "nine"] {
        more.push(cluster.launch(name));
    }
    let begin = Instant::now();
    cluster
        .spread(&[
            "one", "three", "four", "five", "six", "seven", "eight", "nine",
        ])
        .await;
    println!("work spreads over 8 instances in {:.2?}", begin.elapsed());
    load::place_many(&order.client, 60).await;

    for gone in &mut more {
        gone.process.kill();
    }
    let moved = holds(&cluster, "one", PARTITIONS).await;
    println!("work moves {moved:.2?} after 7 of 8 instances were killed");
    assert!(moved < LEASE + GRACE, "after a kill: {moved:?}");
    one.process.kill();
    let last = cluster.start("last").await;
    let story = story(&order).await;
    let taken = story.check(&cluster).await;
    println!("one that starts when none is left has taken all after {taken:.2?}");
    drop(last);
    let feed = order.client.url("feed");
    compare_with_an_undisturbed_run(&story, &[&cluster], &feed).await;
}

async fn story(order: &harness::Service) -> Story {
    load::published(order).await;
    Story::of(order.database.url()).await
}

/// Another instance has the leases of one that wakes up late, and nothing else has changed: its
/// current batch is not written (V7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_instance_writes_nothing_under_the_lease_of_another() {
    let order = load::order().await;
    let (late_tap, other_tap) = (
        Tap::before(&order.client.url("")).await,
        Tap::before(&order.client.url("")).await,
    );
    let database = FreshDatabase::postgres().await;
    let mut cluster = Cluster::new("invoice", database, &late_tap.url("feed"));
    cluster.prepare().await;
    let url = cluster.database.url().to_owned();
    audit::install(&url, "invoice").await;
    let late = cluster.start("late").await;
    holds(&cluster, "late", PARTITIONS).await;
    late_tap.link_to_data();
    late_tap.hold(Held::Answer, "/batch/");
    load::place_many(&order.client, 60).await;
    late_tap.waiting().await;
    late.process.signal("STOP");

    // The other one takes the leases over, and applies nothing yet.
    cluster.feed_url = other_tap.url("feed");
    other_tap.hold(Held::Request, "/feed");
    let _other = cluster.start("other").await;
    holds(&cluster, "other", PARTITIONS).await;
    let asked = late_tap.asked().len();
    late_tap.open();
    late.process.signal("CONT");
    // Its next request shows that it has tried to write its batch.
    until("the late one asks again", async || {
        (late_tap.asked().len() > asked).then_some(())
    })
    .await;
    other_tap.open();
    let story = story(&order).await;
    story.check(&cluster).await;
    let first = "SELECT app FROM test_audit WHERE what = 'move' ORDER BY n LIMIT 1";
    println!(
        "the first to write was {:?}",
        tables::texts(&url, first).await
    );
}

/// `INSTANCE` is made unique for each process, so that two of one name are two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_of_one_name_are_two_instances() {
    let order = load::order().await;
    let database = FreshDatabase::postgres().await;
    let cluster = Cluster::new("invoice", database, &order.client.url("feed"));
    cluster.prepare().await;
    audit::install(cluster.database.url(), "invoice").await;
    let mut twins = [("twin", "a"), ("twin", "b")]
        .map(|(name, application)| cluster.launch_with(name, application, &[]));
    for twin in &mut twins {
        twin.ready().await;
    }
    let owners = "SELECT count(DISTINCT lease_owner) FROM feed_partition";
    until("both have a share", async || {
        (tables::number(cluster.database.url(), owners).await == 2).then_some(())
    })
    .await;
    load::place_many(&order.client, 60).await;
    let writers = "SELECT count(DISTINCT app) FROM test_audit WHERE what = 'move'";
    until("both have written", async || {
        (tables::number(cluster.database.url(), writers).await == 2).then_some(())
    })
    .await;
    twins[0].process.kill();
    load::place_many(&order.client, 30).await;
    let story = story(&order).await;
    story.check(&cluster).await;
}

/// SQLite has one writer; a second process waits for it, and takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_a_sqlite_file_is_safe() {
    let order = load::order().await;
    let feed = order.client.url("feed");
    let cluster = Cluster::new("invoice", FreshDatabase::sqlite(), &feed);
    cluster.prepare().await;
    let _stays = cluster.start("stays").await;
    let client = order.client.clone();
    let placing = tokio::spawn(async move {
        for _ in 0..4 {
            load::place_many(&client, 60).await;
        }
    });
    let mut kills = 0;
    while !placing.is_finished() {
        let mut comes = cluster.start("comes").await;
        let life = Duration::from_millis(fastrand::u64(0..1_500));
        tokio::time::sleep(life).await;
        comes.process.kill();
        kills += 1;
    }
    placing.await.unwrap();
    println!("{kills} processes were killed");
    assert!(kills > 0);
    let story = story(&order).await;
    let lag = story.check(&cluster).await;
    println!("all taken after {lag:.1?}");
    let alone = Cluster::new("invoice", FreshDatabase::sqlite(), &feed);
    let _instance = alone.start("alone").await;
    story.check(&alone).await;
    cluster.assert_like(&alone).await;
}
