//! Random kills, freezes, joins, stops, disconnections and decisions of operators, at random moments, of one to eight
//! instances, while orders are placed. A seed decides all of it: `SEED=17 tests/long seeds` repeats
//! one run. What each run has committed is replayed in the models of leases and of numbering.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::marks::{Marks, assert_reached};
use harness::model::{lease, sequencer};
use harness::{
    Cluster, FreshDatabase, Instance, Service, Story, audit, journal, load, patiently, tables,
};

use crate::commits::terminate;
use crate::compare_with_an_undisturbed_run;
use crate::schedule::{Event, SPAN, Schedule, Whose};

/// Systems at the same time.
const AT_ONCE: u64 = 4;

/// So many seeds take each of these rare branches at least once.
const ENOUGH: u64 = 20;
const RARE: [&str; 4] = ["FencedBatch", "LeaseLost", "PartitionsApart", "Released"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_seeds() {
    seeds(1, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long"]
async fn many_seeds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    match number("SEED") {
        Some(seed) => seeds(seed, 1).await,
        None => seeds(1, number("SEEDS").unwrap_or(20)).await,
    }
}

async fn seeds(first: u64, count: u64) {
    let (mut done, mut reached) = (0, Marks::new());
    while done < count {
        let some = AT_ONCE.min(count - done);
        let seeds = first + done..first + done + some;
        let lives = join_all(seeds.map(|seed| live(Schedule::of(seed))));
        reached.extend(lives.await.into_iter().flatten());
        done += some;
        println!("{done} of {count} seeds are done");
    }
    println!("reached: {reached:?}");
    if count >= ENOUGH {
        assert_reached(&reached, &RARE);
    }
}

/// A consumer and its running instances.
struct Consumer {
    running: Vec<Instance>,
    /// Until when they are frozen.
    frozen: Vec<(Instant, Instance)>,
    /// Until when the subscription is paused.
    paused: Option<Instant>,
    /// True if an instance was taken out.
    retired: bool,
    started: usize,
    /// With the logs, and so dropped last.
    cluster: Cluster,
}

/// Runs one schedule; returns the rare branches that its instances have taken.
async fn live(schedule: Schedule) -> Marks {
    // Printed first, so that it is known if this one fails.
    println!("{schedule}");
    let order = load::order().await;
    journal::of_publisher(order.database.url()).await;
    let mut consumers = [
        Consumer::new("invoice", &order, schedule.instances[0]).await,
        Consumer::new("shipping", &order, schedule.instances[1]).await,
    ];
    let clients = clients(&order, &schedule);
    let begin = Instant::now();
    for (at, whose, event) in &schedule.events {
        let at = Duration::from_millis(*at);
        tokio::time::sleep(at.saturating_sub(begin.elapsed())).await;
        let consumer = match whose {
            Whose::Invoice => &mut consumers[0],
            Whose::Shipping => &mut consumers[1],
        };
        consumer.thaw(false).await;
        consumer.resume(false).await;
        consumer.inject(*event).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    // From here on there are no faults, except that the frozen ones wake up.
    for consumer in &mut consumers {
        consumer.thaw(true).await;
        consumer.resume(true).await;
        consumer.revive().await;
    }
    load::published(&order).await;
    let story = Story::of(order.database.url()).await;
    let feed = order.client.url("feed");
    for consumer in &consumers {
        let cluster = &consumer.cluster;
        let lag = story.check(cluster).await;
        compare_with_an_undisturbed_run(&story, &[cluster], &feed).await;
        println!(
            "seed {}: {} of {} events, {} instances: as undisturbed, {lag:.1?} after the last fault",
            schedule.seed,
            cluster.service,
            story.newest(),
            consumer.started
        );
    }
    replay(&schedule, &order, &consumers).await;
    let reached = consumers.iter().map(|consumer| consumer.cluster.reached());
    reached.flatten().collect()
}

/// Replays in the models what was committed.
async fn replay(schedule: &Schedule, order: &Service, consumers: &[Consumer]) {
    let url = order.database.url();
    let events = journal::published(url).await;
    let mut replayed = vec![sequencer::replay(&journal::read_publisher(url).await)];
    for consumer in consumers {
        let journal = journal::read(consumer.cluster.database.url()).await;
        replayed.push(lease::replay(&events, &journal));
    }
    let seed = schedule.seed;
    let steps: Vec<usize> = replayed
        .into_iter()
        .map(|steps| steps.unwrap_or_else(|refused| panic!("seed {seed}: {refused}")))
        .collect();
    println!("seed {seed}: the models accept it, with {steps:?} steps");
}

/// Clients that place orders and cancel some, until the time is over.
fn clients(order: &Service, schedule: &Schedule) -> Vec<tokio::task::JoinHandle<()>> {
    let begin = Instant::now();
    let cancelled = schedule.cancelled;
    let client = |pause: &u64| {
        let (client, pause) = (order.client.clone(), Duration::from_millis(*pause));
        tokio::spawn(async move {
            for n in 0.. {
                if begin.elapsed() > SPAN {
                    return;
                }
                let id = load::place(&client, n).await.unwrap();
                if n % cancelled == 0 {
                    load::cancel(&client, id).await;
                }
                tokio::time::sleep(pause).await;
            }
        })
    };
    schedule.pauses.iter().map(client).collect()
}

impl Consumer {
    async fn new(service: &'static str, order: &Service, instances: usize) -> Self {
        let database = FreshDatabase::postgres().await;
        let cluster = Cluster::new(service, database, &order.client.url("feed"));
        cluster.prepare().await;
        audit::install(cluster.database.url(), service).await;
        journal::of_consumer(cluster.database.url(), service).await;
        let mut consumer = Self {
            cluster,
            running: Vec::new(),
            frozen: Vec::new(),
            paused: None,
            retired: false,
            started: 0,
        };
        for _ in 0..instances {
            consumer.start();
        }
        consumer
    }

    fn start(&mut self) {
        self.started += 1;
        let name = format!("{}{}", self.cluster.service, self.started);
        self.running.push(self.cluster.launch(&name));
    }

    async fn inject(&mut self, event: Event) {
        let running = self.running.len();
        match event {
            Event::Join if running + self.frozen.len() < 8 => self.start(),
            Event::Cut => {
                terminate(self.cluster.database.url()).await;
            }
            Event::Kill(which) if running > 0 => {
                self.running.remove(which % running).process.kill();
            }
            Event::Freeze(which, time) if running > 0 => {
                let instance = self.running.remove(which % running);
                instance.process.signal("STOP");
                let until = Instant::now() + Duration::from_millis(time);
                self.frozen.push((until, instance));
            }
            Event::Stop(which) if running > 0 => {
                let mut instance = self.running.remove(which % running);
                match instance.process.stop("TERM").await {
                    // A new one may not handle the signal yet.
                    Some(0) | None => {}
                    Some(_) => assert_cut_off(&instance),
                }
            }
            Event::Pause(time) if self.paused.is_none() => {
                self.decide(&["pause", "--reason", "a schedule"], 1).await;
                self.paused = Some(Instant::now() + Duration::from_millis(time));
            }
            Event::Retire(which) => {
                let all = "SELECT instance FROM feed_instance ORDER BY instance";
                let all = tables::texts(self.cluster.database.url(), all).await;
                let Some(instance) = all.get(which % all.len().max(1)) else {
                    return;
                };
                // It may have ended, or be the last one.
                let arguments = ["retire", instance, "--reason", "a schedule"];
                self.retired |= self.cluster.command(&arguments).await.success();
            }
            _ => {}
        }
    }

    /// Pauses or resumes; the connection of the command may be cut, also after its commit.
    async fn decide(&self, arguments: &[&str], paused: i64) {
        let url = self.cluster.database.url();
        patiently("a decision is taken", async || {
            self.cluster.command(arguments).await;
            let now = "SELECT count(paused_at) FROM feed_subscription";
            (tables::number(url, now).await == paused).then_some(())
        })
        .await;
    }

    /// Ends a pause after its time; with `all`, waits for that.
    async fn resume(&mut self, all: bool) {
        let Some(until) = self.paused else { return };
        if all {
            tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
        }
        if Instant::now() >= until {
            self.decide(&["resume"], 0).await;
            self.paused = None;
        }
    }

    /// Starts one if none is left, as a supervisor does.
    async fn revive(&mut self) {
        let mut left = Vec::new();
        for mut instance in self.running.drain(..) {
            let started = patiently("it has started or ended", async || {
                if instance.process.is_gone() {
                    return Some(false);
                }
                instance.client.json("status").await.map(|_| true)
            });
            if started.await {
                left.push(instance);
                continue;
            }
            assert_cut_off(&instance);
        }
        self.running = left;
        // One that was taken out takes no events, also if it is the last one that is left.
        if self.running.is_empty() || self.retired {
            self.start();
        }
    }

    /// Wakes up frozen instances after their time; with `all`, waits for the others.
    async fn thaw(&mut self, all: bool) {
        let mut kept = Vec::new();
        for (until, instance) in self.frozen.drain(..) {
            if all {
                tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
            }
            if Instant::now() >= until {
                instance.process.signal("CONT");
                self.running.push(instance);
            } else {
                kept.push((until, instance));
            }
        }
        self.frozen = kept;
    }
}

/// Fails unless an instance that has ended was disconnected from its database while it started:
/// then it may end with an error. One that has started continues in any case.
fn assert_cut_off(instance: &Instance) {
    let log = instance.process.log();
    let started = log.contains("(following");
    assert!(!started && log.contains("the database"), "ended:\n{log}");
}
