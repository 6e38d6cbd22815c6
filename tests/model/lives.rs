//! Real runs, replayed in the models: kills, rivals, a feed that becomes another one. And runs of systems without a guard,
//! which the models must refuse.

use std::collections::HashSet;

use futures_util::future::join;
use harness::journal::{self, Published, Record};
use harness::model::{lease, sequencer};
use harness::{Backend, Cluster, FreshDatabase, Service, Story, load, patiently, tables, until};
use serde_json::json;

/// An order service with a journal, beside which another one numbers.
async fn publisher() -> [Service; 2] {
    let order = load::order().await;
    journal::of_publisher(order.database.url()).await;
    let mut rival = Service::new("order", Backend::Postgres).await;
    rival.set("DATABASE_URL", order.database.url().to_owned());
    rival.set("RUST_LOG", "warn".to_owned());
    rival.start().await;
    [order, rival]
}

/// Instances of a consumer with a journal.
async fn consumer(order: &Service, database: FreshDatabase) -> Cluster {
    let cluster = Cluster::new("invoice", database, &order.client.url("feed"));
    cluster.prepare().await;
    journal::of_consumer(cluster.database.url(), "invoice").await;
    cluster
}

/// Replays what a consumer has committed.
async fn lease_steps(events: &[Published], cluster: &Cluster) -> Result<usize, String> {
    let journal = journal::read(cluster.database.url()).await;
    lease::replay(events, &journal)
}

async fn numbering_steps(order: &Service) -> Result<usize, String> {
    let journal = journal::read_publisher(order.database.url()).await;
    sequencer::replay(&journal)
}

fn accepted(what: &str, replayed: Result<usize, String>) {
    match replayed {
        Ok(steps) => println!("{what}: {steps} steps of the model"),
        Err(refused) => panic!("{what}: {refused}"),
    }
}

#[track_caller]
fn refused(what: &str, because: &[&str], replayed: Result<usize, String>) {
    let why = replayed.err();
    let why = why.unwrap_or_else(|| panic!("the model accepts it: {what}"));
    println!("{what}:\n{why}\n");
    let last = why.lines().last().unwrap_or_default();
    assert!(
        because.iter().any(|because| last.contains(because)),
        "{what}:\n{why}"
    );
}

/// Orders are placed at both publishers while one of two instances dies; then the other one has all.
async fn lives(database: FreshDatabase) -> ([Service; 2], Cluster) {
    let [order, rival] = publisher().await;
    let cluster = consumer(&order, database).await;
    let mut dies = cluster.start("dies").await;
    load::place_many(&order.client, 10).await;
    let lives = cluster.start("lives").await;
    join(
        load::place_many(&order.client, 40),
        load::place_many(&rival.client, 40),
    )
    .await;
    dies.process.kill();
    load::place_many(&rival.client, 10).await;
    load::published(&order).await;
    Story::of(order.database.url()).await.check(&cluster).await;
    drop(lives);
    ([order, rival], cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_models_accept_a_life_on_postgres() {
    let ([order, _rival], cluster) = lives(FreshDatabase::postgres().await).await;
    let events = journal::published(order.database.url()).await;
    accepted("leases", lease_steps(&events, &cluster).await);
    accepted("numbering", numbering_steps(&order).await);
    forgeries(&events, &journal::read(cluster.database.url()).await);
    forged_numbers(&journal::read_publisher(order.database.url()).await);
    unguarded_in_a_pause(&events, &cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_accepts_a_life_on_sqlite() {
    let ([order, _rival], cluster) = lives(FreshDatabase::sqlite()).await;
    let events = journal::published(order.database.url()).await;
    accepted("leases", lease_steps(&events, &cluster).await);
    unguarded_in_a_pause(&events, &cluster).await;
}

/// What a batch does to the cursors, without its look at a pause.
async fn unguarded_in_a_pause(events: &[Published], cluster: &Cluster) {
    let mut url = cluster.database.url().to_owned();
    if tables::is_postgres(&url) {
        url += "&application_name=lives";
    }
    let pause = "UPDATE feed_subscription
                 SET paused_at = CURRENT_TIMESTAMP, paused_by = 'Jo', paused_because = 'so'";
    tables::run(&url, pause).await;
    tables::run(&url, "UPDATE feed_partition SET sequence = sequence + 1").await;
    let why = &["now it is"];
    refused(
        "a cursor moves in a pause",
        why,
        lease_steps(events, cluster).await,
    );
}

/// Each is a life that a system without one of its guards could have had.
fn forgeries(events: &[Published], journal: &[Record]) {
    let is_move = |record: &Record| {
        let moves = record.data["sequence"] != record.data["sequence_was"];
        record.what == "partition" && moves
    };
    let claims = journal.iter().filter(|record| record.what == "claim");
    let claims: HashSet<i64> = claims.map(|record| record.transaction).collect();
    let is_batch = |record: &Record| is_move(record) && claims.contains(&record.transaction);
    let of = |what: &'static str| move |record: &Record| record.what == what;
    let forge = |what: &str,
                 because: &[&str],
                 which: &dyn Fn(&Record) -> bool,
                 forge: &dyn Fn(&mut Vec<Record>, usize)| {
        let mut forged = journal.to_vec();
        let at = forged.iter().rposition(which);
        forge(
            &mut forged,
            at.unwrap_or_else(|| panic!("none to forge: {what}")),
        );
        refused(what, because, lease::replay(events, &forged));
    };
    forge(
        "a late owner commits",
        &["forbids that instance"],
        &is_move,
        &|records, at| {
            let other = match records[at].process.as_deref() {
                Some("lives") => "dies",
                _ => "lives",
            };
            records[at].process = Some(other.to_owned());
        },
    );
    forge(
        "a batch commits in a pause",
        &["the model claims [], and", "now it is"],
        &is_batch,
        &|records, at| {
            records[at].data["paused"] = json!(true);
        },
    );
    forge(
        "a claim is missing",
        &["the model claims"],
        &of("claim"),
        &|records, at| {
            records.remove(at);
        },
    );
    forge(
        "an effect is missing",
        &["has no effect"],
        &of("effect"),
        &|records, at| {
            let subject = records[at].data["subject"].clone();
            let transaction = records[at].transaction;
            records.retain(|one| {
                one.what != "effect"
                    || one.transaction != transaction
                    || one.data["subject"] != subject
            });
        },
    );
    forge(
        "an effect comes twice",
        &["no effect without its claim"],
        &of("effect"),
        &|records, at| {
            let again = Record {
                transaction: -1,
                ..records[at].clone()
            };
            records.push(again);
        },
    );
    forge(
        "a cursor skips an event",
        &["the model claims"],
        &is_batch,
        &|records, at| {
            let transaction = records[at].transaction;
            records.retain(|one| one.what == "partition" || one.transaction != transaction);
        },
    );
    let takes_over = |record: &Record| {
        let [was, is] = ["owner_was", "owner"].map(|name| record.text(name));
        was.is_some() && is.is_some() && was != is
    };
    forge(
        "a lease is taken that has not ended",
        &["the lease has not ended"],
        &takes_over,
        &|records, at| {
            records[at].data["ended"] = json!(false);
        },
    );
    forge(
        "a batch is not in the journal",
        &["before it was"],
        &is_move,
        &|records, _| {
            let first = records.iter().find(|one| is_move(one)).expect("a move");
            let transaction = first.transaction;
            records.retain(|one| one.transaction != transaction);
        },
    );
}

/// The same for numbers.
fn forged_numbers(journal: &[Record]) {
    let numbers = |records: &[Record]| -> Vec<usize> {
        let all = 0..records.len();
        all.filter(|at| records[*at].what == "number").collect()
    };
    let forge = |what: &str, because: &[&str], forge: &dyn Fn(&mut Vec<Record>, &[usize])| {
        let mut forged = journal.to_vec();
        let numbers = numbers(&forged);
        forge(&mut forged, &numbers);
        refused(what, because, sequencer::replay(&forged));
    };
    forge(
        "two events have one number",
        &["the model", "it is not so"],
        &|records, numbers| {
            let [.., one, other] = numbers else {
                panic!("too few events");
            };
            records[*other].data["sequence"] = records[*one].data["sequence"].clone();
        },
    );
    forge(
        "an event is passed over",
        &["the model", "it is not so"],
        &|records, numbers| {
            // It is numbered with the last ones, although it has committed before others that have their numbers.
            let last = records[numbers[numbers.len() - 1]].transaction;
            let mut passed = records.remove(numbers[0]);
            records.retain(|one| one.what != "head" || one.transaction != passed.transaction);
            passed.transaction = last;
            records.push(passed);
        },
    );
    forge(
        "the head stays behind",
        &["the model moves the head"],
        &|records, _| {
            let head = records.iter().rposition(|record| record.what == "head");
            records.remove(head.expect("a head"));
        },
    );
}

/// Real instances, whose database does not raise the lease epoch when a lease moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_refuses_leases_whose_epoch_does_not_rise() {
    let [order, _rival] = publisher().await;
    let cluster = consumer(&order, FreshDatabase::postgres().await).await;
    let url = cluster.database.url();
    let same = "CREATE FUNCTION test_same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    NEW.lease_epoch := OLD.lease_epoch;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER test_same BEFORE UPDATE ON feed_partition
                    FOR EACH ROW EXECUTE FUNCTION test_same();";
    tables::run(url, same).await;
    let _instance = cluster.start("alone").await;
    load::place_many(&order.client, 10).await;
    let newest = load::published(&order).await;
    patiently("all is taken", async || {
        (cluster.lowest().await >= newest).then_some(())
    })
    .await;
    let events = journal::published(order.database.url()).await;
    refused(
        "an epoch that does not rise",
        &["now it is"],
        lease_steps(&events, &cluster).await,
    );
}

/// The fence is the `WHERE` of one statement: this is that statement without it, by a process that has lost its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_refuses_a_write_that_no_fence_has_stopped() {
    let ([order, _rival], cluster) = lives(FreshDatabase::postgres().await).await;
    load::place_many(&order.client, 10).await;
    load::published(&order).await;
    let late = format!("{}&application_name=dies", cluster.database.url());
    tables::run(&late, "UPDATE feed_partition SET sequence = sequence + 1").await;
    let events = journal::published(order.database.url()).await;
    refused(
        "a late owner commits",
        &["forbids that instance"],
        lease_steps(&events, &cluster).await,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_refuses_numbers_with_a_gap() {
    let [order, rival] = publisher().await;
    load::place_many(&order.client, 10).await;
    load::published(&order).await;
    let gap = "ALTER FUNCTION feed_number(BIGINT) RENAME TO test_number;
               CREATE FUNCTION feed_number(most BIGINT, OUT head feed_head, OUT numbered BIGINT)
               RETURNS SETOF RECORD LANGUAGE plpgsql AS $$ BEGIN
                   IF (SELECT count(*) = 1 FROM feed_outbox) THEN
                       UPDATE feed_head SET sequence = sequence + 1;
                   END IF;
                   RETURN QUERY SELECT * FROM test_number(most);
               END $$;";
    tables::run(order.database.url(), gap).await;
    load::place_many(&rival.client, 10).await;
    until("all events have numbers", async || {
        let unnumbered = "SELECT count(*) FROM feed_outbox";
        (tables::number(order.database.url(), unnumbered).await == 0).then_some(())
    })
    .await;
    refused(
        "numbers with a gap",
        &["the model numbers on from"],
        numbering_steps(&order).await,
    );
}

/// The order service is restored from a copy, its feed gets another epoch and other events; an operator lets the consumer begin
/// anew.
async fn another_feed(database: FreshDatabase) {
    let [mut order, mut rival] = publisher().await;
    let cluster = consumer(&order, database).await;
    let _instances = [cluster.start("one").await, cluster.start("two").await];
    load::place_many(&order.client, 12).await;
    order.stop().await;
    rival.stop().await;
    let old = order.database.url().to_owned();
    let copy = copy_of(&old).await;
    order.start().await;
    load::place_many(&order.client, 12).await;
    let newest = load::published(&order).await;
    patiently("all is taken", async || {
        (cluster.lowest().await >= newest).then_some(())
    })
    .await;
    order.stop().await;

    order.set("DATABASE_URL", copy.clone());
    let mut restored = order.command(
        "",
        &[
            "restored",
            "--last-order=24",
            "--last-customer=2",
            "--last-item=4",
        ],
    );
    restored.env("DATABASE_URL", &copy);
    assert!(restored.status().unwrap().success());
    order.start().await;
    load::place_many(&order.client, 12).await;
    let url = cluster.database.url();
    patiently("it halts", async || {
        let halted = "SELECT count(*) FROM feed_subscription WHERE halted IS NOT NULL";
        (tables::number(url, halted).await == 1).then_some(())
    })
    .await;
    let resumed = cluster.command(&["resume", "--from-start"]).await;
    assert!(resumed.success());
    patiently("all of the other feed is taken", async || {
        let behind = "SELECT count(*) FROM feed_partition
                      WHERE epoch IS NULL OR sequence < (SELECT max(sequence) FROM feed_partition)";
        let newest = tables::number(&copy, "SELECT sequence FROM feed_head").await;
        let all = tables::number(url, behind).await == 0 && cluster.lowest().await >= newest;
        all.then_some(())
    })
    .await;
    let mut events = journal::published(&old).await;
    events.extend(journal::published(&copy).await);
    accepted("leases", lease_steps(&events, &cluster).await);
    let journal = journal::read(url).await;
    let unasked = journal
        .into_iter()
        .filter(|one| !begins_anew(one))
        .collect::<Vec<_>>();
    refused(
        "a cursor that passes to another feed by itself",
        &["before it was"],
        lease::replay(&events, &unasked),
    );
}

fn begins_anew(record: &Record) -> bool {
    record.data["lease"] != record.data["lease_was"]
        && record.data["owner"] == record.data["owner_was"]
}

/// Copies a database that nobody uses; returns the URL of the copy.
async fn copy_of(url: &str) -> String {
    let server = std::env::var("TEST_POSTGRES_URL").unwrap();
    let name = tables::texts(url, "SELECT current_database()::text")
        .await
        .remove(0);
    let copy = format!("CREATE DATABASE {name}_copy TEMPLATE {name}");
    patiently("it is copied", async || {
        tables::try_run(&server, &copy).await.ok()
    })
    .await;
    url.replace(&name, &format!("{name}_copy"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_accepts_another_feed_on_postgres() {
    another_feed(FreshDatabase::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_accepts_another_feed_on_sqlite() {
    another_feed(FreshDatabase::sqlite()).await;
}
