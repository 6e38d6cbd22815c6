//! PostgreSQL fails over, as Patroni does it, while the shop is under load: no order that was acknowledged is lost, no
//! effect is doubled, and all is applied soon after there is a primary again.
//! `PROMOTIONS=100 tests/long failover` for more of them, `SCENARIOS=killed,frozen` for some kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Backend, DEADLINE, tables};

use crate::checker::assert_no_violations;
use crate::evidence::Evidence;
use crate::fleet::Fleet;
use crate::life::Life;
use crate::patroni::{Machine, NODES, Patroni};
use crate::plan::{Plan, Whose};
use crate::rules::{acknowledged, list, text};

/// The longest time from a primary that answers until all is applied.
const LEVEL: Duration = Duration::from_secs(30);

/// What happens to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scenario {
    /// An operator hands over to a standby.
    SwitchedOver,
    /// All processes of the primary are killed, and started again once another one is the primary.
    Killed,
    /// They freeze, and wake up when another one is the primary.
    Frozen,
    /// The primary does not reach etcd.
    WithoutEtcd,
    /// The primary reaches nobody, and nobody the primary.
    Apart,
    /// The primary does not reach its standbys.
    WithoutStandbys,
    /// `HAProxy` does not reach the primary.
    WithoutClients,
    /// The standby that is in step with the primary is killed.
    StandbyKilled,
}

use Scenario::*;

/// In turn, after two switchovers each: those are the most frequent ones.
const FAULTS: [Scenario; 7] = [
    Killed,
    WithoutStandbys,
    Frozen,
    WithoutEtcd,
    StandbyKilled,
    Apart,
    WithoutClients,
];

impl Scenario {
    fn promotes(self) -> bool {
        !matches!(self, WithoutStandbys | WithoutClients | StandbyKilled)
    }

    fn name(self) -> &'static str {
        match self {
            SwitchedOver => "switched over",
            Killed => "killed",
            Frozen => "frozen",
            WithoutEtcd => "without etcd",
            Apart => "apart",
            WithoutStandbys => "without standbys",
            WithoutClients => "without clients",
            StandbyKilled => "standby killed",
        }
    }
}

/// How one of them passed.
struct Round {
    scenario: Scenario,
    /// In milliseconds of the history.
    begin: u64,
    end: u64,
    promotions: i64,
    /// From the fault to a new primary, or to the end of the fault if there is none; and until all was applied.
    primary: Duration,
    level: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long failover"]
async fn a_failover_of_postgresql_loses_and_doubles_nothing() {
    let wanted = std::env::var("PROMOTIONS").map_or(18, |count| count.parse().unwrap());
    let chosen = std::env::var("SCENARIOS").unwrap_or_default();
    let all = FAULTS
        .into_iter()
        .flat_map(|fault| [SwitchedOver, SwitchedOver, fault]);
    let is_chosen = |scenario: &Scenario| {
        chosen.is_empty() || chosen.split(',').any(|name| name == scenario.name())
    };
    let scenarios: Vec<Scenario> = all.filter(is_chosen).collect();
    let Some(mut patroni) = Patroni::start(true).await else {
        return;
    };
    let mut plan = Plan::quiet(Backend::Postgres, [2, 2, 1]);
    plan.pauses = vec![150; 4];
    plan.few_readers = true;
    let mut fleet = Fleet::prepare_at(&plan, "failover", Some(&patroni.url)).await;
    let directory = fleet.directory.clone();
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    let mut rounds: Vec<Round> = Vec::new();
    let mut turn = scenarios.iter().cycle();
    while rounds.iter().map(|round| round.promotions).sum::<i64>() < wanted
        && rounds.len() < 2 * wanted as usize
    {
        let round = round(*turn.next().unwrap(), &mut patroni, &mut life).await;
        println!(
            "  {:16} {} promotions, primary after {:.1} s, level after {:.1} s",
            round.scenario.name(),
            round.promotions,
            round.primary.as_secs_f64(),
            round.level.as_secs_f64()
        );
        rounds.push(round);
        patroni.keep_logs(&directory);
    }
    let directory = life.end().await;
    println!("{}", table(&rounds, &directory));
    assert_no_violations(&directory);
    for round in &rounds {
        let took = round.level.saturating_sub(round.primary);
        assert!(took <= LEVEL, "{:?} took {took:?}", round.scenario);
    }
}

/// Injects a fault, ends it, and waits until all is applied and the cluster is whole.
async fn round(scenario: Scenario, patroni: &mut Patroni, life: &mut Life) -> Round {
    whole(patroni, life).await;
    let (victim, timeline) = patroni.primary().await.unwrap();
    let in_step = patroni.in_step().await;
    let others = || (0..NODES).filter(|node| *node != victim).map(Machine::Node);
    let everything: Vec<_> = others().chain([Machine::Etcd, Machine::Proxy]).collect();
    let standbys: Vec<_> = others().collect();
    life.last(Duration::from_secs(2)).await;
    life.fleet.history.fault(scenario.name());
    let (begin, at) = (life.fleet.history.now(), Instant::now());
    match scenario {
        SwitchedOver => assert!(patroni.switch_over(victim).await, "Patroni refuses"),
        Killed => patroni.signal(victim, "KILL"),
        Frozen => patroni.signal(victim, "STOP"),
        WithoutEtcd => patroni.cut(victim, &[Machine::Etcd]),
        Apart => patroni.cut(victim, &everything),
        WithoutStandbys => patroni.cut(victim, &standbys),
        WithoutClients => patroni.cut(victim, &[Machine::Proxy]),
        StandbyKilled => patroni.signal(in_step.unwrap(), "KILL"),
    }
    if scenario.promotes() {
        life.until("another node is the primary", async |_| {
            let primary = patroni.primary().await;
            primary.is_some_and(|(node, _)| node != victim)
        })
        .await;
    } else {
        // Longer than Patroni and its lock wait for anything.
        life.last(Duration::from_secs(15)).await;
    }
    let mut primary = at.elapsed();
    match scenario {
        SwitchedOver => {}
        Killed => patroni.start_node(victim),
        StandbyKilled => patroni.start_node(in_step.unwrap()),
        Frozen => patroni.signal(victim, "CONT"),
        WithoutEtcd | Apart | WithoutStandbys | WithoutClients => {
            // The new primary works for a while beside the old one.
            if scenario.promotes() {
                life.last(Duration::from_secs(3)).await;
            } else {
                primary = at.elapsed();
            }
            patroni.join(victim);
        }
    }
    level(life).await;
    let level = at.elapsed();
    whole(patroni, life).await;
    let (_, now) = patroni.primary().await.unwrap();
    Round {
        scenario,
        begin,
        end: life.fleet.history.now(),
        promotions: now - timeline,
        primary,
        level,
    }
}

async fn whole(patroni: &Patroni, life: &mut Life) {
    life.until("the cluster is whole", async |_| patroni.is_whole().await)
        .await;
}

/// Waits until an order that was placed only now is applied by both consumers, with all before it.
async fn level(life: &mut Life) {
    let urls = [Whose::Order, Whose::Invoice, Whose::Shipping]
        .map(|whose| life.fleet.url(whose).to_owned());
    let begin = Instant::now();
    let mut number = async |url: &str, sql: &str, least: i64| loop {
        // No node may answer, or one that is cut off.
        let asked = tokio::time::timeout(Duration::from_secs(2), tables::try_number(url, sql));
        if let Ok(Some(number)) = asked.await
            && number >= least
        {
            return number;
        }
        assert!(begin.elapsed() < DEADLINE, "timed out: {sql} of {url}");
        life.last(Duration::from_millis(100)).await;
    };
    let head = "SELECT sequence FROM feed_head";
    let before = number(&urls[0], head, 0).await;
    let newest = number(&urls[0], head, before + 3).await;
    for consumer in &urls[1..] {
        let lowest = "SELECT COALESCE(min(sequence), 0) FROM feed_partition";
        number(consumer, lowest, newest).await;
    }
}

/// A line for each scenario. An order is lost if it was acknowledged and has no event; it is doubled if it has two.
fn table(rounds: &[Round], directory: &Path) -> String {
    let evidence = Evidence::read(directory);
    let placed = acknowledged(&evidence, "place");
    let published: Vec<&str> = list(&evidence.order["events"])
        .iter()
        .filter(|event| event["type"] == "order.placed")
        .map(|event| text(&event["subject"]))
        .collect();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for subject in &published {
        *times.entry(subject).or_default() += 1;
    }
    let mut table = "| scenario | rounds | promotions | acknowledged | lost | doubled | most seconds to a primary | from there to level |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let scenarios: BTreeSet<Scenario> = rounds.iter().map(|round| round.scenario).collect();
    for scenario in scenarios {
        let of: Vec<&Round> = rounds
            .iter()
            .filter(|round| round.scenario == scenario)
            .collect();
        let there = placed
            .iter()
            .filter(|(_, at)| of.iter().any(|round| (round.begin..round.end).contains(at)));
        let there: Vec<&str> = there.map(|(subject, _)| subject.as_str()).collect();
        let count = |times_: &dyn Fn(usize) -> bool| {
            let found = there
                .iter()
                .filter(|subject| times_(times.get(*subject).copied().unwrap_or_default()));
            found.count()
        };
        let seconds = |of_round: &dyn Fn(&Round) -> Duration| {
            let longest = of.iter().map(|round| of_round(round)).max();
            longest.unwrap_or_default().as_secs_f64()
        };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
            scenario.name(),
            of.len(),
            of.iter().map(|round| round.promotions).sum::<i64>(),
            there.len(),
            count(&|times| times == 0),
            count(&|times| times > 1),
            seconds(&|round| round.primary),
            seconds(&|round| round.level.saturating_sub(round.primary)),
        );
    }
    table
}
