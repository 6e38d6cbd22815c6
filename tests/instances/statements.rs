//! The statements for each event: few, and no more with many instances than with one, but for the first
//! batches of each, which are small. `pg_stat_statements`
//! counts them, by their names.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::tap::{Held, Tap};
use harness::{Cluster, FreshDatabase, Service, Story, load, patiently, tables};

/// What one drain has cost.
struct Cost {
    instances: usize,
    /// Name, calls and rows.
    statements: Vec<(String, i64, i64)>,
    took: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_costs_no_more_statements_with_more_instances() {
    const EVENTS: i64 = 5_000;
    let order = load::order().await;
    let newest = load::copy_orders(&order, EVENTS).await;
    let one = drain(&order, 1).await;
    let eight = drain(&order, 8).await;
    for name in ["consumer::claim", "consumer::advance", "invoice::insert"] {
        let [with_one, with_eight] = [one.calls(name), eight.calls(name)];
        println!("{name}: {with_one} with one instance, {with_eight} with eight");
        assert!(with_one > 0 && with_eight > 0, "{name}");
        // A hundred events share one, also where batches are too slow to grow; some are not full.
        let most = EVENTS / 100 * 13 / 10;
        assert!(with_one <= most && with_eight <= most, "{name}");
        const FIRST_BATCHES: i64 = 5;
        assert!(with_eight <= with_one + 8 * FIRST_BATCHES, "{name}");
    }
    // A batch guards its transaction in the statement that begins it.
    assert_eq!(one.calls("effect::begin"), 0);
    assert_eq!(one.rows("consumer::claim"), newest);
    assert_eq!(eight.rows("consumer::claim"), newest);
}

/// The table for readers: `EVENTS` sets how many, 5,000 by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a table for people: tests/long"]
async fn the_table() {
    let events = std::env::var("EVENTS").map_or(5_000, |events| events.parse().unwrap());
    let order = load::order().await;
    load::copy_orders(&order, events).await;
    let mut costs = Vec::new();
    for instances in [1, 2, 4, 8] {
        costs.push(drain(&order, instances).await);
    }
    println!("{events} events; calls (rows) by statement, as pg_stat_statements counts them");
    print!("{:<24}", "instances");
    for cost in &costs {
        print!("{:>16}", cost.instances);
    }
    println!();
    let names = costs.iter().flat_map(|cost| &cost.statements);
    let names: BTreeSet<&str> = names.map(|(name, ..)| name.as_str()).collect();
    for name in names {
        print!("{name:<24}");
        for cost in &costs {
            print!(
                "{:>16}",
                format!("{} ({})", cost.calls(name), cost.rows(name))
            );
        }
        println!();
    }
    print!("{:<24}", "statements per event");
    for cost in &costs {
        let calls: i64 = cost.statements.iter().map(|(_, calls, _)| calls).sum();
        print!("{:>16.4}", calls as f64 / events as f64);
    }
    print!("\n{:<24}", "claims per event");
    for cost in &costs {
        print!(
            "{:>16.4}",
            cost.calls("consumer::claim") as f64 / events as f64
        );
    }
    print!("\n{:<24}", "events per second");
    for cost in &costs {
        print!("{:>16.0}", events as f64 / cost.took.as_secs_f64());
    }
    println!();
}

/// Lets so many instances that have shared the partitions apply the whole feed from its beginning.
async fn drain(order: &Service, instances: usize) -> Cost {
    let tap = Tap::before(&order.client.url("")).await;
    tap.hold(Held::Request, "/feed");
    let database = FreshDatabase::postgres().await;
    let mut cluster = Cluster::new("invoice", database, &tap.url("feed"));
    cluster.log = "warn";
    cluster.prepare().await;
    let url = cluster.database.url().to_owned();
    let names: Vec<String> = (1..=instances).map(|n| format!("instance{n}")).collect();
    let running: Vec<_> = names.iter().map(|name| cluster.launch(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cluster.spread(&names).await;
    counted(&url).await;
    let story = Story::of(order.database.url()).await;
    let begin = Instant::now();
    tap.open();
    patiently("all is taken", async || {
        let claims = tables::number(&url, "SELECT count(*) FROM feed_claim").await;
        (claims == story.newest()).then_some(())
    })
    .await;
    let took = begin.elapsed();
    story.applied_by(&cluster).await;
    drop(running);
    let statements = statements(&url).await;
    story.check(&cluster).await;
    Cost {
        instances,
        statements,
        took,
    }
}

/// Begins to count.
async fn counted(url: &str) {
    let preloaded = tables::texts(url, "SHOW shared_preload_libraries").await;
    assert!(
        preloaded[0].contains("pg_stat_statements"),
        "statements cannot be counted: the server of TEST_POSTGRES_URL needs \
         `-c shared_preload_libraries=pg_stat_statements`, as tests/run starts it"
    );
    let begin = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
                 SELECT pg_stat_statements_reset(0, oid, 0)
                 FROM pg_database WHERE datname = current_database()";
    tables::run(url, begin).await;
}

/// The counts of our statements, except for those about leases: by their names.
async fn statements(url: &str) -> Vec<(String, i64, i64)> {
    let sql = "SELECT name || '|' || sum(calls) || '|' || sum(rows) FROM (
                   SELECT substring(query FROM '^[A-Z]+ -- ([a-z_:]+)') AS name, calls, rows
                   FROM pg_stat_statements
                   JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
               ) AS ours
               WHERE name IS NOT NULL GROUP BY name ORDER BY name";
    let rows = tables::texts(url, sql).await;
    let read = |row: &String| {
        let parts: Vec<&str> = row.split('|').collect();
        let number = |part: &str| part.parse().unwrap();
        (parts[0].to_owned(), number(parts[1]), number(parts[2]))
    };
    rows.iter().map(read).collect()
}

impl Cost {
    fn calls(&self, name: &str) -> i64 {
        let found = self.statements.iter().find(|(known, ..)| known == name);
        found.map_or(0, |(_, calls, _)| *calls)
    }

    fn rows(&self, name: &str) -> i64 {
        let found = self.statements.iter().find(|(known, ..)| known == name);
        found.map_or(0, |(.., rows)| *rows)
    }
}
