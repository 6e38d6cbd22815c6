//! Reasons why a subscription needs attention: one rule for the command `status` and its exit code, for the JSON and the page
//! of `GET /status`, for the page with all consumers, and for `feed status`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::words::{behind, counted, grouped, moment, sentence, span};
use feed_core::consumer::{Lag, Pace, Reconciliation, Status, Totals};

/// The kind of a concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It takes nothing until an operator decides.
    Halted,
    /// An operator has paused it.
    Paused,
    /// Events have failed.
    Parked,
    /// The last round ended with an error.
    Failing,
    /// No instance takes events: none has reported to the database in time, or all are retired.
    Unattended,
    /// Events wait, and it does not catch up.
    Behind,
    /// The feed does not answer.
    Silent,
    /// The last comparison with the feed has found differences.
    Differing,
    /// One that only a later version knows.
    #[serde(other)]
    Other,
}

/// One thing that keeps a subscription from being well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Concern {
    /// Which it is
    pub kind: Kind,
    /// The same in a few words: `3 parked`
    pub text: String,
    /// The reason, if one is known
    #[serde(default)]
    pub why: Option<String>,
}

/// Why no instance takes events.
const RETIRED: &str = "a retired one takes no events until its process is restarted";
const GONE: &str = "none runs, or it cannot write to its database";

impl Concern {
    fn new(kind: Kind, text: impl Into<String>, why: Option<String>) -> Self {
        let text = text.into();
        Self { kind, text, why }
    }

    /// Returns the few words as a sentence begins: `3 parked`, `The last poll failed`.
    #[must_use]
    pub fn title(&self) -> String {
        sentence(&self.text)
    }
}

/// A status as another program reads it: of this version, of an older one, or of a later one. What is missing is not
/// known, and members that have been added are ignored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReportedStatus {
    /// The last event taken
    pub sequence: Option<i64>,
    /// The newest event seen in the feed
    pub head: Option<i64>,
    /// How far it is behind
    pub lag: Option<Behind>,
    /// Failed events
    pub parked: Option<i64>,
    /// Later events of their subjects
    pub waiting: Option<i64>,
    /// Why it is halted
    pub halted: Option<String>,
    /// Who has paused it
    pub paused: Option<Paused>,
    /// The error of the last round
    pub last_error: Option<String>,
    /// When the feed last answered
    pub last_contact: Option<DateTime<Utc>>,
    /// Live instances
    pub instances: Option<i64>,
    /// Live instances that are retired
    pub retired: Option<i64>,
    /// How fast it follows the feed
    pub pace: Option<Progress>,
    /// The last comparison with the feed
    pub reconciliation: Option<LastComparison>,
    concerns: Option<Vec<Concern>>,
}

/// A lag as another program reads it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Behind {
    /// Events not yet taken
    pub events: i64,
    /// The age of the oldest of them, or for how long the feed has not answered
    pub seconds: Option<i64>,
}

/// A pace as another program reads it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Events a second that were taken
    pub taken: f64,
    /// The seconds in which that was measured
    pub seconds: i64,
    /// The seconds until all are taken
    pub level_in: Option<i64>,
}

/// A comparison as another program reads it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LastComparison {
    /// When it ended
    pub at: Option<DateTime<Utc>>,
    /// What it has found
    pub totals: Totals,
}

/// A pause as another program reads it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Paused {
    /// The operator
    pub by: Option<String>,
    /// Their reason
    pub reason: Option<String>,
}

impl ReportedStatus {
    /// Returns what keeps the subscription from being well, worst first: as its own service says, or, if that does not,
    /// by the rule of this version.
    #[must_use]
    pub fn concerns(&self) -> Vec<Concern> {
        self.concerns.clone().unwrap_or_else(|| self.judged())
    }

    /// Formats the lag: `2 events, 5 s`.
    #[must_use]
    pub fn behind(&self) -> Option<String> {
        let Behind { events, seconds } = self.lag?;
        Some(behind(Lag { events, seconds }, self.halted.is_some()))
    }

    fn judged(&self) -> Vec<Concern> {
        let mut concerns = Vec::new();
        if let Some(reason) = &self.halted {
            concerns.push(Concern::new(Kind::Halted, "halted", Some(reason.clone())));
        }
        if let Some(paused) = &self.paused {
            let by = paused.by.as_deref().unwrap_or("an operator");
            let text = format!("paused by {by}");
            concerns.push(Concern::new(Kind::Paused, text, paused.reason.clone()));
        }
        if let Some(parked @ 1..) = self.parked {
            let text = format!("{} parked", grouped(parked));
            concerns.push(Concern::new(Kind::Parked, text, None));
        }
        if let Some(error) = &self.last_error {
            let text = "the last poll failed";
            concerns.push(Concern::new(Kind::Failing, text, Some(error.clone())));
        }
        if self.instances == Some(0) {
            // New events cannot be known either.
            let (text, why) = match self.retired {
                Some(1) => ("its only instance is retired", RETIRED),
                Some(2..) => ("all its instances are retired", RETIRED),
                _ => ("no instance reports", GONE),
            };
            concerns.push(Concern::new(Kind::Unattended, text, Some(why.to_owned())));
        } else if self.halted.is_none()
            && let Some(silent) = self.silent()
        {
            let text = format!("the feed has not answered for {}", span(silent));
            concerns.push(Concern::new(Kind::Silent, text, None));
        }
        if concerns.iter().all(|other| other.kind == Kind::Parked)
            && let Some(pace) = self.falls_behind()
        {
            let text = match pace.taken > 0.0 {
                true => "it does not catch up".to_owned(),
                false => format!("nothing was taken for {}", span(pace.seconds)),
            };
            concerns.push(Concern::new(Kind::Behind, text, self.behind()));
        }
        let compared = self.reconciliation.as_ref();
        // A gap in a series of numbers stays, whatever an operator does.
        if let Some((compared, unequal @ 1..)) = compared.map(|it| (it, it.totals.unequal())) {
            let at = compared.at.map(|at| format!(" at {}", moment(at)));
            let text = format!(
                "{} not as the feed demands, by the comparison{}",
                counted(unequal, "record"),
                at.unwrap_or_default()
            );
            concerns.push(Concern::new(Kind::Differing, text, None));
        }
        concerns
    }

    /// Returns the pace of one that does not catch up, if events have waited for as long as that was measured. A single effect
    /// may take that long: the operator has to see that as well.
    fn falls_behind(&self) -> Option<Progress> {
        let lag = self.lag.filter(|lag| lag.events > 0)?;
        let pace = self.pace.filter(|pace| pace.level_in.is_none())?;
        (lag.seconds? >= pace.seconds).then_some(pace)
    }

    /// Returns for how many seconds the feed has not answered, if that is too long: it may have news.
    fn silent(&self) -> Option<i64> {
        let lag = self.lag.filter(|lag| lag.events == 0);
        lag?.seconds.filter(|seconds| *seconds > 0)
    }
}

impl ReportedStatus {
    pub(super) fn of(
        status: &Status,
        pace: Option<&Pace>,
        compared: Option<&Reconciliation>,
    ) -> Self {
        Self {
            sequence: Some(status.sequence),
            head: Some(status.head),
            lag: Some(Behind {
                events: status.lag.events,
                seconds: status.lag.seconds,
            }),
            parked: Some(status.parked),
            waiting: Some(status.waiting),
            halted: status.halted.clone(),
            paused: status.paused.as_ref().map(|paused| Paused {
                by: Some(paused.by.clone()),
                reason: Some(paused.reason.clone()),
            }),
            last_error: status.last_error.clone(),
            last_contact: status.last_contact,
            instances: Some(status.instances),
            retired: Some(status.retired),
            pace: pace.map(|pace| Progress {
                taken: pace.taken,
                seconds: pace.seconds,
                level_in: pace.level_in,
            }),
            reconciliation: compared.map(|compared| LastComparison {
                at: Some(compared.at),
                totals: compared.totals.clone(),
            }),
            concerns: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn concerns(status: Value) -> Vec<String> {
        let standing: ReportedStatus = serde_json::from_value(status).expect("a status");
        let concerns = standing.concerns().into_iter();
        concerns
            .map(|concern| match concern.why {
                Some(why) => format!("{}: {why}", concern.text),
                None => concern.text,
            })
            .collect()
    }

    #[test]
    fn each_concern_is_named_worst_first() {
        let well = json!({"sequence": 7, "head": 7, "lag": {"events": 0, "seconds": 0}, "parked": 0,
                          "instances": 1, "halted": null, "paused": null, "last_error": null});
        assert_eq!(concerns(well.clone()), [""; 0]);
        // Old events are no concern while it catches up, and neither are new ones that came faster than it takes them.
        let pace =
            |taken, level_in: Value| json!({"taken": taken, "seconds": 60, "level_in": level_in});
        for (seconds, pace, expected) in [
            (900, json!(null), None),
            (900, pace(2.0, json!(30)), None),
            (59, pace(2.0, json!(null)), None),
            (
                60,
                pace(2.0, json!(null)),
                Some("it does not catch up: 5 events, 60 s"),
            ),
            (
                900,
                pace(0.0, json!(null)),
                Some("nothing was taken for 60 s: 5 events, 15 min"),
            ),
        ] {
            let mut behind = well.clone();
            behind["lag"] = json!({"events": 5, "seconds": seconds});
            behind["pace"] = pace;
            assert_eq!(concerns(behind.clone()), Vec::from_iter(expected));
            // These say why.
            behind["last_error"] = json!("it answers 500");
            assert_eq!(concerns(behind), ["the last poll failed: it answers 500"]);
        }
        let mut gap = well.clone();
        gap["reconciliation"] = json!({"totals": {"equal": 7, "gaps": 1}});
        assert_eq!(concerns(gap), [""; 0]);
        for (member, value, expected) in [
            ("halted", json!("another feed"), "halted: another feed"),
            (
                "paused",
                json!({"by": "eve", "reason": "the audit", "at": "2026-01-31T00:00:00Z"}),
                "paused by eve: the audit",
            ),
            ("parked", json!(1_200), "1,200 parked"),
            (
                "last_error",
                json!("it answers 500"),
                "the last poll failed: it answers 500",
            ),
            (
                "instances",
                json!(0),
                "no instance reports: none runs, or it cannot write to its database",
            ),
            (
                "lag",
                json!({"events": 0, "seconds": 300}),
                "the feed has not answered for 5 min",
            ),
            (
                "reconciliation",
                json!({"at": "2026-01-31T00:00:00Z",
                       "totals": {"equal": 7, "missing": 2, "different": 1, "gaps": 5}}),
                "3 records not as the feed demands, by the comparison at 2026-01-31 00:00:00 UTC",
            ),
        ] {
            let mut status = well.clone();
            status[member] = value;
            assert_eq!(concerns(status), [expected]);
        }
        let mut alone = well.clone();
        alone["instances"] = json!(0);
        for (retired, expected) in [
            (0, format!("no instance reports: {GONE}")),
            (1, format!("its only instance is retired: {RETIRED}")),
            (2, format!("all its instances are retired: {RETIRED}")),
        ] {
            alone["retired"] = json!(retired);
            assert_eq!(concerns(alone.clone()), [expected]);
        }
        let mut halted = well.clone();
        halted["halted"] = json!("another feed");
        halted["lag"] = json!({"events": 0, "seconds": 300});
        assert_eq!(concerns(halted), ["halted: another feed"]);
        let all = json!({"halted": "h", "paused": {}, "parked": 2, "last_error": "e", "instances": 0,
                         "lag": {"seconds": 300}});
        let expected = [
            "halted: h",
            "paused by an operator",
            "2 parked",
            "the last poll failed: e",
            "no instance reports: none runs, or it cannot write to its database",
        ];
        assert_eq!(concerns(all), expected);
    }

    #[test]
    fn another_version_says_more_or_less() {
        // What an older one does not say is not known, and no concern.
        assert_eq!(concerns(json!({"sequence": 1, "head": 1})), [""; 0]);
        // What a later one says about itself counts.
        let later = json!({"parked": 3, "moon": "full",
                           "concerns": [{"kind": "flooded", "text": "flooded", "depth": 3}]});
        assert_eq!(concerns(later), ["flooded"]);
    }
}
