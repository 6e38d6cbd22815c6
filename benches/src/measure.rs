//! Figures: what was measured, round by round, and the result.

use serde::{Deserialize, Serialize};

/// The goal of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "bound", rename_all = "snake_case")]
pub(crate) enum Goal {
    /// No goal: the figure explains another one.
    None,
    /// The least ratio of ours to the limit's, where more is better.
    RatioAtLeast(f64),
    /// The greatest ratio of ours to the limit's, where less is better.
    RatioAtMost(f64),
    /// The greatest value of ours, where there is no limit to compare with.
    AtMost(f64),
}

impl Goal {
    /// True if the goal is only to be better than the other side.
    fn is_only_the_order(self) -> bool {
        matches!(self, Self::RatioAtLeast(1.0) | Self::RatioAtMost(1.0))
    }
}

/// Whether a goal was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The side that is ahead changes from round to round.
    Equal,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The benchmark it is of.
    pub(crate) row: String,
    /// What was measured.
    pub(crate) what: String,
    /// What it is compared with; empty: nothing.
    pub(crate) against: String,
    pub(crate) unit: String,
    pub(crate) goal: Goal,
    /// One value a round.
    pub(crate) ours: Vec<f64>,
    /// The other side's value, from the same round.
    pub(crate) limit: Vec<f64>,
}

/// The median of some values, and their range.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of no values: all zeros.
    #[must_use]
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(lowest), Some(highest)) = (sorted.first(), sorted.last()) else {
            return Self {
                median: 0.0,
                lowest: 0.0,
                highest: 0.0,
            };
        };
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Self {
            median,
            lowest: *lowest,
            highest: *highest,
        }
    }
}

impl Figure {
    #[must_use]
    pub(crate) fn new(what: impl Into<String>, unit: &str, goal: Goal) -> Self {
        Self {
            row: String::new(),
            what: what.into(),
            against: String::new(),
            unit: unit.to_owned(),
            goal,
            ours: Vec::new(),
            limit: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn against(mut self, limit: &str) -> Self {
        limit.clone_into(&mut self.against);
        self
    }

    /// Ours divided by the limit's, in each round: what slowed down both cancels out.
    #[must_use]
    pub(crate) fn ratios(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.limit);
        pairs.map(|(ours, limit)| ours / limit).collect()
    }

    #[must_use]
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let ratios = self.ratios();
        (!ratios.is_empty()).then(|| Spread::of(&ratios))
    }

    /// Whether the goal was met; `None`: there is none.
    #[must_use]
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let ratio = self.ratio();
        let median = ratio.map(|ratio| ratio.median);
        let met = match self.goal {
            Goal::None => return None,
            Goal::RatioAtLeast(bound) => median? >= bound,
            Goal::RatioAtMost(bound) => median? <= bound,
            Goal::AtMost(bound) => Spread::of(&self.ours).median <= bound,
        };
        let either = ratio.is_some_and(|ratio| ratio.lowest < 1.0 && ratio.highest > 1.0);
        Some(match met {
            _ if either && self.goal.is_only_the_order() => Verdict::Equal,
            true => Verdict::Met,
            false => Verdict::Missed,
        })
    }
}

/// The value below which `share` of them are; they get sorted.
#[must_use]
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let index = (last as f64 * share).ceil() as usize;
    values.get(index.min(last)).copied().unwrap_or(f64::NAN)
}
