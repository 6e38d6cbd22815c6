//! The services as processes: several instances of each, one address before the order service, and
//! faults for them. An instance that dies is restarted.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::marks::Marks;
use harness::{Backend, Cluster, FreshDatabase, audit, load, patiently, tables};

use crate::front::Front;
use crate::group::Group;
use crate::history::History;
use crate::plan::{Fault, Plan, Shop, Whose};
use crate::program;
use crate::receiver::{Receiver, TIMEOUT};
use harness::pooler::Pooler;
use harness::server::Server;
use harness::wire::{Lost, Wire};

/// One of so many answers to commits is lost.
const LOSSES: u32 = 10;

/// The numbers of the first orders of bursts, which no client uses.
const BURSTS: i64 = 5_000_000;

/// All processes.
pub(crate) struct Fleet {
    pub(crate) history: History,
    pub(crate) front: Front,
    /// order, invoice, shipping.
    pub(crate) groups: [Group; 3],
    /// The address of the feed, for consumers and readers.
    pub(crate) feed: Front,
    /// `feed serve` at that address, in the place of the order service.
    serving: Option<Group>,
    /// A consumer that is no program of ours. It meets the faults of shipping, too.
    pub(crate) bills: Option<Group>,
    /// `feed deliver --to`, which meets the faults of shipping, too, and the webhook.
    pub(crate) sender: Option<Group>,
    receiver: Option<Receiver>,
    pooler: Option<Pooler>,
    /// Until when it is frozen.
    pooler_frozen: Option<Instant>,
    bursts: i64,
    pub(crate) server: Option<Server>,
    /// Between the invoice service and its database, where the plan loses answers there.
    wire: Option<Wire>,
    /// Processes of the database that are frozen, and until when.
    backends: Vec<(Instant, i64)>,
    pub(crate) directory: PathBuf,
}

impl Fleet {
    /// Starts the instances of `plan`, and waits until the feed answers.
    pub(crate) async fn start(plan: &Plan, name: &str) -> Self {
        let mut fleet = Self::prepare(plan, name).await;
        fleet.settle().await;
        fleet
    }

    /// Databases with their tables, without instances. What a run leaves is in a directory below
    /// cargo's own.
    pub(crate) async fn prepare(plan: &Plan, name: &str) -> Self {
        Self::prepare_with(plan, name, &[]).await
    }

    /// The same with additions to the environment of the database server.
    pub(crate) async fn prepare_with(
        plan: &Plan,
        name: &str,
        environment: &[(&'static str, String)],
    ) -> Self {
        let server = match plan.backend {
            Backend::Postgres => Some(Server::start(&["fsync=off"], environment).await),
            Backend::Sqlite => None,
        };
        let url = server.as_ref().map(|server| server.url.clone());
        let fleet = Self::prepare_at(plan, name, url.as_deref()).await;
        Self { server, ..fleet }
    }

    /// The same on a PostgreSQL that runs already.
    pub(crate) async fn prepare_at(plan: &Plan, name: &str, server: Option<&str>) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("faults")
            .join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        // Printed first, so that it is known if this one fails.
        println!("{plan}\n  in {}", directory.display());
        let front = Front::new().await;
        let feed = match plan.shop {
            Shop::Services => front.clone(),
            _ => Front::new().await,
        };
        let feed_url = format!("{}feed", feed.url);
        let history = History::create(&directory);
        let (mut serving, mut wire) = (None, None);
        let mut groups = Vec::new();
        for (service, wanted) in ["order", "invoice", "shipping"]
            .into_iter()
            .zip(plan.instances)
        {
            let mut cluster = Cluster::new(service, fresh(server).await, &feed_url);
            match (plan.shop, service) {
                (Shop::WithoutRust, "order") => program::takes_orders(&mut cluster),
                (Shop::WithoutRust, _) | (Shop::WithProgram, "shipping") => {
                    program::delivers(&mut cluster, &directory).await;
                }
                _ => {}
            }
            cluster.prepare().await;
            if service == "order" && plan.shop != Shop::Services {
                let program = program::serves(&cluster);
                program.prepare().await;
                let settings = vec![("BASE_URL", feed.url.clone())];
                serving = Some(Group::new(program, wanted, settings));
            }
            if service == "invoice" && plan.loses_answers() {
                let lossy = Wire::before(cluster.database.url(), Lost::Answer).await;
                cluster.database_url.clone_from(&lossy.url);
                wire = Some(lossy);
            }
            if service != "order" {
                audit::install(cluster.database.url(), service).await;
            }
            let settings = match service {
                "order" => vec![("BASE_URL", front.url.clone())],
                _ => Vec::new(),
            };
            groups.push(Group::new(cluster, wanted, settings));
        }
        let bills = match plan.shop {
            Shop::WithoutRust => {
                let database = fresh(server).await;
                let cluster = program::bills(&directory, database, &feed_url);
                Some(Group::new(cluster, plan.instances[2], Vec::new()))
            }
            _ => None,
        };
        let mut receiver = None;
        let mut sender = None;
        if plan.webhook {
            let webhook = Receiver::start(plan.seed, &history).await;
            let cluster = program::sends(fresh(server).await, &feed_url, &webhook.url);
            cluster.prepare().await;
            audit::install(cluster.database.url(), "webhook").await;
            let settings = vec![("WEBHOOK_TIMEOUT", TIMEOUT.to_owned())];
            sender = Some(Group::new(cluster, plan.instances[2], settings));
            receiver = Some(webhook);
        }
        let Ok(groups) = <[Group; 3]>::try_from(groups) else {
            unreachable!("three services")
        };
        let mut fleet = Self {
            history,
            front,
            feed,
            groups,
            serving,
            bills,
            sender,
            receiver,
            pooler: None,
            pooler_frozen: None,
            bursts: 0,
            server: None,
            wire,
            backends: Vec::new(),
            directory,
        };
        if let (Some(mode), Some(server)) = (plan.pooler, server) {
            fleet.put_behind_pooler(server, mode).await;
        }
        fleet
    }

    /// Puts a pooler between all programs and their databases.
    async fn put_behind_pooler(&mut self, server: &str, mode: &str) {
        // In session mode one for each connection of all instances; else fewer than those have.
        let (size, direct) = match mode {
            "session" => (150, false),
            _ => (8, true),
        };
        let settings = format!("default_pool_size = {size}");
        let pooler = Pooler::start(server, mode, &settings).await;
        for group in self.all() {
            let url = group.cluster.database.url().to_owned();
            group.cluster.database_url = pooler.url(&url);
            if direct {
                group.settings.push(("DATABASE_DIRECT_URL", url));
            }
        }
        self.pooler = Some(pooler);
    }

    pub(crate) fn group(&mut self, whose: Whose) -> &mut Group {
        &mut self.groups[whose as usize]
    }

    /// The database of order, invoice or shipping.
    pub(crate) fn url(&self, whose: Whose) -> &str {
        self.groups[whose as usize].cluster.database.url()
    }

    /// Starts missing instances, and wakes up frozen ones after their time.
    pub(crate) fn supervise(&mut self) {
        let history = self.history.clone();
        for group in self.all() {
            group.supervise(&history);
        }
        self.backends.retain(|(until, pid)| {
            let over = Instant::now() >= *until;
            if over {
                signal("CONT", *pid);
            }
            !over
        });
        if self
            .pooler_frozen
            .is_some_and(|until| Instant::now() >= until)
        {
            self.thaw_pooler();
        }
        self.front.before(self.groups[0].addresses());
        if let Some(serving) = &self.serving {
            self.feed.before(serving.addresses());
        }
    }

    /// All of them, the publisher's last.
    pub(crate) fn every(&self) -> impl Iterator<Item = &Group> {
        let beside = self.bills.iter().chain(&self.sender);
        let publishers = self.groups[..1].iter().chain(&self.serving);
        self.groups[1..].iter().chain(beside).chain(publishers)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Group> {
        let beside = self.serving.iter_mut().chain(&mut self.bills);
        self.groups.iter_mut().chain(beside).chain(&mut self.sender)
    }

    fn consumers(&mut self) -> impl Iterator<Item = &mut Group> {
        let beside = self.bills.iter_mut().chain(&mut self.sender);
        self.groups[1..].iter_mut().chain(beside)
    }

    fn thaw_backends(&mut self) {
        for (_, pid) in self.backends.drain(..) {
            signal("CONT", pid);
        }
    }

    /// Another program than ours may wait for its database before it ends, however long that is frozen.
    fn thaw_for(&mut self, whose: Whose) {
        if self.all_of(whose).any(|group| group.is_foreign()) {
            self.thaw_backends();
            self.thaw_pooler();
        }
    }

    fn thaw_pooler(&mut self) {
        self.pooler_frozen = None;
        if let Some(pooler) = &self.pooler {
            pooler.signal("CONT");
        }
    }

    /// The rare branches that all processes have taken, also those that were killed.
    pub(crate) fn reached(&mut self) -> Marks {
        self.all()
            .flat_map(|group| group.cluster.reached())
            .collect()
    }

    /// A service, and what meets its faults, too.
    fn all_of(&mut self, whose: Whose) -> impl Iterator<Item = &mut Group> {
        let beside = match whose {
            Whose::Order => [self.serving.as_mut(), None],
            Whose::Invoice => [None, None],
            Whose::Shipping => [self.bills.as_mut(), self.sender.as_mut()],
        };
        let beside = beside.into_iter().flatten();
        std::iter::once(&mut self.groups[whose as usize]).chain(beside)
    }

    /// The databases of these.
    fn urls(&mut self, whose: Whose) -> Vec<String> {
        let groups = self.all_of(whose);
        let mut urls: Vec<_> = groups
            .map(|group| group.cluster.database.url().to_owned())
            .collect();
        urls.dedup();
        urls
    }

    /// From now on one of `each` answers to commits is lost; 0: none.
    fn lose(&self, each: u32) {
        if let Some(wire) = &self.wire {
            wire.lose(each);
        }
    }

    /// Waits until all wanted instances answer, and none is frozen. No more answers are lost.
    pub(crate) async fn settle(&mut self) {
        self.lose(0);
        if let Some(wire) = &self.wire {
            let lost = format!("{} answers to commits were lost", wire.losses());
            self.history.fault(&lost);
        }
        let history = self.history.clone();
        patiently("everything runs", async || {
            self.supervise();
            if !self.backends.is_empty() || self.pooler_frozen.is_some() {
                return None;
            }
            for group in self.all() {
                // An instance that was frozen when others were stopped may be one too many.
                group.scale(group.wanted, &history).await;
                if !group.answers().await {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// The frozen ones, too.
    pub(crate) fn kill_all(&mut self) {
        for group in self.all() {
            group.frozen.clear();
            group.running.clear();
        }
    }

    pub(crate) async fn inject(&mut self, fault: Fault) {
        self.history.fault(&format!("{fault:?}"));
        match fault {
            Fault::Kill(whose, which) => self.all_of(whose).for_each(|group| group.kill(which)),
            Fault::KillAll => self.kill_all(),
            Fault::Freeze(whose, which, time) => {
                (self.all_of(whose)).for_each(|group| group.freeze(which, time));
            }
            Fault::Stop(whose, which) => {
                self.thaw_for(whose);
                let history = self.history.clone();
                for group in self.all_of(whose) {
                    group.stop(which, &history).await;
                }
            }
            Fault::Scale(whose, wanted) => {
                self.thaw_for(whose);
                let history = self.history.clone();
                for group in self.all_of(whose) {
                    group.scale(wanted, &history).await;
                }
            }
            Fault::Cut(whose) => {
                for url in self.urls(whose) {
                    cut(&url).await;
                }
            }
            Fault::Odd(first) => {
                let url = self.url(Whose::Order);
                load::write_odd(url, first, 3).await;
                load::write_erasures(url, first, 3).await;
            }
            Fault::FreezeBackend(whose, time) => {
                for url in self.urls(whose) {
                    if let Some(pid) = backend(&url).await {
                        signal("STOP", pid);
                        let until = Instant::now() + Duration::from_millis(time);
                        self.backends.push((until, pid));
                    }
                }
            }
            Fault::LoseAnswers => self.lose(LOSSES),
            // The clients are not ours.
            Fault::Calm(_) => {}
            Fault::Restart { at_once } => {
                // A server waits for its own processes that are frozen.
                self.thaw_backends();
                if let Some(server) = &self.server {
                    server
                        .stop(if at_once { "immediate" } else { "fast" })
                        .await;
                    server.launch().await;
                }
            }
            Fault::RestartPooler => {
                self.pooler_frozen = None;
                if let Some(pooler) = &mut self.pooler {
                    pooler.restart().await;
                }
            }
            Fault::FreezePooler(time) => {
                if let Some(pooler) = &self.pooler {
                    pooler.signal("STOP");
                    self.pooler_frozen = Some(Instant::now() + Duration::from_millis(time));
                }
            }
            Fault::Burst(orders) => self.burst(orders).await,
            Fault::Retry => {
                if let Some(sender) = &self.sender {
                    // Fails while its database is away.
                    sender.cluster.command(&["retry", "--all"]).await;
                }
            }
        }
        self.supervise();
    }

    /// Places orders in one transaction, while no consumer runs.
    async fn burst(&mut self, orders: i64) {
        self.thaw_pooler();
        // A frozen one may hold the lock of a SQLite file.
        self.groups[0].wake(|_| true);
        for group in self.consumers() {
            group.frozen.clear();
            group.running.clear();
        }
        self.bursts += 1;
        let first = BURSTS + self.bursts * 100_000;
        load::copy_an_order(self.url(Whose::Order), first, orders).await;
    }

    /// From now on the webhook takes what it does not refuse for good.
    pub(crate) fn recover(&self) {
        if let Some(receiver) = &self.receiver {
            receiver.recover();
        }
    }

    /// True if nothing is parked that the webhook would take. What waits for the operator is retried.
    pub(crate) async fn has_sent_all(&self) -> bool {
        let (Some(receiver), Some(sender)) = (&self.receiver, &self.sender) else {
            return true;
        };
        let any = async |sql: &str| {
            let subjects = tables::texts(sender.cluster.database.url(), sql).await;
            subjects.iter().any(|subject| !receiver.refuses(subject))
        };
        // No more often than needed: each command is a process, which competes for the lock of a SQLite file.
        let waits = "SELECT subject FROM feed_parked WHERE reason IS NOT NULL AND retry_at IS NULL";
        if any(waits).await {
            sender.cluster.command(&["retry", "--all"]).await;
        }
        !any("SELECT DISTINCT subject FROM feed_parked").await
    }
}

async fn fresh(server: Option<&str>) -> FreshDatabase {
    match server {
        Some(server) => FreshDatabase::postgres_at(server).await,
        None => FreshDatabase::sqlite(),
    }
}

/// Cuts one connection of an instance.
async fn cut(url: &str) {
    if let Some(pid) = backend(url).await {
        let sql = format!("SELECT pg_terminate_backend({pid})::text");
        tables::texts(url, &sql).await;
    }
}

/// A process of the database that works for an instance.
async fn backend(url: &str) -> Option<i64> {
    let sql = "SELECT pid::text FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND application_name <> '' ORDER BY random() LIMIT 1";
    tables::texts(url, sql).await.first()?.parse().ok()
}

fn signal(signal: &str, pid: i64) {
    let mut kill = std::process::Command::new("kill");
    // It may have ended already.
    let _ = kill.arg(format!("-{signal}")).arg(pid.to_string()).output();
}
