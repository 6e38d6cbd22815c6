//! `feed check --consumer`: plays a producer with planted faults, and says which of them a consumer gets wrong.
//!
//! A [`producer`] is a feed of our own. Before it is a [`gate`], which puts a fault into its answers. [`process`] is the
//! consumer, [`effects`] is what it has made of the events, and [`case`] goes through one fault after the other.

mod case;
mod effects;
mod entries;
mod gate;
mod process;
mod producer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use feed_chassis::parse_duration;
use serde_json::Value;

use super::{Finding, Verdict};
use case::Case;

/// What went wrong with the check itself.
type Checked<T> = Result<T, String>;

/// The numbers begin with the milliseconds of the clock, in 31 bits: a run uses fewer than one each, and so the next one has
/// others.
const NUMBERS: u64 = 1 << 31;

/// How to check a consumer.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "A consumer, in place of a feed")]
pub(super) struct Plan {
    /// Check a consumer: the command that starts it. It follows `$FEED_URL`, a feed with the fault `$FEED_FAULT`
    #[arg(long, value_name = "COMMAND")]
    pub(super) consumer: Option<String>,

    /// A command that prints the number or the id of each event that has had an effect, one a line, in the order of the
    /// effects [default: what the consumer prints itself]
    #[arg(long, value_name = "COMMAND", requires = "consumer")]
    effects: Option<String>,

    /// Plant this fault alone; repeat it for more
    #[arg(long = "fault", value_name = "NAME", requires = "consumer")]
    faults: Vec<Planted>,

    /// The type of the events
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "order.placed",
        requires = "consumer"
    )]
    event_type: String,

    /// Their data, in which `%n` is the number of the event
    #[arg(long, value_name = "JSON", value_parser = template, default_value = r#"{"id": %n}"#, requires = "consumer")]
    data: String,

    /// Data that the consumer cannot process, such as an object that lacks what it needs
    #[arg(long, value_name = "JSON", value_parser = json, default_value = r#""poison""#, requires = "consumer")]
    poison: String,

    /// How long the consumer may take to be level again
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s", requires = "consumer")]
    patience: Duration,
}

fn json(text: &str) -> Result<String, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{text} is no JSON: {error}")),
    }
}

fn template(text: &str) -> Result<String, String> {
    json(&text.replace("%n", "1")).map(|_| text.to_owned())
}

/// A fault that is planted, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Planted {
    /// No fault
    Level,
    /// Each event comes twice
    Duplicates,
    /// An event is missing in a document for a while
    Gap,
    /// Entries are in another order
    Reordered,
    /// The feed answers 500 and 503
    ServerErrors,
    /// The connection ends within a document
    CutBody,
    /// Each answer is 304
    NotModified,
    /// An answer comes when there are newer events
    LatePage,
    /// Two events in a second, and a date to tell them apart
    SameSecond,
    /// Another origin is said to have the feed
    Redirect,
    /// The consumer cannot process an event
    Poison,
    /// The consumer is killed
    Kill,
    /// The address has a feed with another history
    AnotherHistory,
}

impl Planted {
    fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Duplicates => "duplicates",
            Self::Gap => "gap",
            Self::Reordered => "reordered",
            Self::ServerErrors => "server-errors",
            Self::CutBody => "cut-body",
            Self::NotModified => "not-modified",
            Self::LatePage => "late-page",
            Self::SameSecond => "same-second",
            Self::Redirect => "redirect",
            Self::Poison => "poison",
            Self::Kill => "kill",
            Self::AnotherHistory => "another-history",
        }
    }

    /// Returns the source of the rule, and the rule that a consumer keeps although the fault is there.
    fn rule(self) -> (&'static str, &'static str) {
        match self {
            Self::Level => (
                "docs/consumer.md",
                "takes each event once, also after a restart",
            ),
            Self::Duplicates => (
                "CloudEvents 1.0, id",
                "takes an event once that comes twice",
            ),
            Self::Gap => (
                "docs/consumer.md",
                "does not lose an event that a document has left out",
            ),
            Self::Reordered => (
                "RFC 4287, 4.1.1",
                "takes events in sequence, in whatever order entries are",
            ),
            Self::ServerErrors => (
                "RFC 9110, 15.6",
                "continues after 500 and 503, and asks rarely meanwhile",
            ),
            Self::CutBody => (
                "RFC 9112, 8",
                "does not take a part of a document for the whole",
            ),
            Self::NotModified => (
                "RFC 9110, 15.4.5",
                "continues after a 304 that it has not asked for",
            ),
            Self::LatePage => (
                "docs/consumer.md",
                "misses nothing that happens before an answer arrives",
            ),
            Self::SameSecond => (
                "RFC 9110, 8.8.2.2",
                "misses no event of a second that it has seen another of",
            ),
            Self::Redirect => (
                "RFC 9110, 15.4",
                "shows no credentials to another origin, and takes no events of another feed",
            ),
            Self::Poison => (
                "docs/consumer.md",
                "does not stop other subjects for an event that it cannot process",
            ),
            Self::Kill => (
                "docs/consumer.md",
                "takes each event once, whenever it is killed",
            ),
            Self::AnotherHistory => (
                "docs/consumer.md",
                "stops at a feed with another history, and says so",
            ),
        }
    }
}

/// The events of a run.
struct Events {
    next: AtomicU64,
    /// The number of each event by its id.
    ids: Mutex<HashMap<String, u64>>,
    event_type: String,
    data: String,
    poison: String,
}

impl Events {
    fn of(plan: &Plan) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis() as u64;
        Self {
            next: AtomicU64::new(now % NUMBERS + 1),
            ids: Mutex::default(),
            event_type: plan.event_type.clone(),
            data: plan.data.clone(),
            poison: plan.poison.clone(),
        }
    }

    /// Returns the next number.
    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data_of(&self, number: u64) -> String {
        self.data.replace("%n", &number.to_string())
    }
}

/// Plants one fault after the other, and shows each finding. What follows one that makes the others meaningless is not run.
pub(super) async fn run(
    plan: &Plan,
    consumer: &str,
    mut show: impl FnMut(&Finding),
) -> Checked<Vec<Finding>> {
    let events = Events::of(plan);
    let mut findings = Vec::new();
    for planted in Planted::value_variants() {
        if *planted != Planted::Level && !plan.faults.is_empty() && !plan.faults.contains(planted) {
            continue;
        }
        let (source, rule) = planted.rule();
        let (verdict, found) = Case::new(plan, consumer, &events, *planted)
            .await?
            .run()
            .await?;
        let finding = Finding {
            name: Some(planted.name()),
            verdict,
            source,
            rule,
            found,
        };
        show(&finding);
        let is_hopeless = *planted == Planted::Level && verdict == Verdict::Fault;
        findings.push(finding);
        if is_hopeless {
            eprintln!("the other faults were not planted");
            break;
        }
    }
    Ok(findings)
}
