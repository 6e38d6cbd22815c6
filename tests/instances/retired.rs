//! An operator takes an instance out that is frozen: the others take over, and it takes nothing when it wakes up.

use harness::{Cluster, FreshDatabase, PARTITIONS, Story, audit, load, patiently, tables, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_instance_that_was_taken_out_takes_nothing_when_it_wakes_up() {
    let order = load::order().await;
    let database = FreshDatabase::postgres().await;
    let cluster = Cluster::new("invoice", database, &order.client.url("feed"));
    cluster.prepare().await;
    let url = cluster.database.url();
    audit::install(url, "invoice").await;
    let mut frozen = cluster.start("frozen").await;
    let last = ["retire", "frozen", "--reason", "slow"];
    assert_eq!(
        cluster.command(&last).await.code(),
        Some(1),
        "that is no whole name"
    );
    let name = "SELECT instance FROM feed_instance WHERE instance LIKE 'frozen-%'";
    let name = tables::texts(url, name).await.remove(0);
    let retire = ["retire", &name, "--reason", "slow"];
    assert_eq!(
        cluster.command(&retire).await.code(),
        Some(2),
        "it is the last one"
    );

    let _other = cluster.start("other").await;
    cluster.spread(&["frozen", "other"]).await;
    load::place_many(&order.client, 60).await;
    frozen.process.signal("STOP");
    // Frozen in a transaction, it may hold a lock, until the server ends its session.
    patiently("it is taken out", async || {
        (cluster.command(&retire).await.code() == Some(0)).then_some(())
    })
    .await;
    load::place_many(&order.client, 60).await;
    let story = story(&order).await;
    story.check(&cluster).await;
    assert_eq!(cluster.held("other").await, PARTITIONS);

    frozen.process.signal("CONT");
    until("it knows", async || {
        frozen
            .process
            .log()
            .contains("operator has retired this instance")
            .then_some(())
    })
    .await;
    load::place_many(&order.client, 60).await;
    let moves = "SELECT count(*) FROM test_audit WHERE what = 'move' AND app = 'frozen'";
    let before = tables::number(url, moves).await;
    self::story(&order).await.check(&cluster).await;
    assert_eq!(tables::number(url, moves).await, before);
    assert_eq!(cluster.held("frozen").await, 0);

    // Its next process works again.
    assert_eq!(frozen.process.stop("TERM").await, Some(0));
    let _again = cluster.start("frozen").await;
    cluster.spread(&["frozen", "other"]).await;
}

async fn story(order: &harness::Service) -> Story {
    load::published(order).await;
    Story::of(order.database.url()).await
}
