//! Output for people and programs: a table, a JSON file, and the page with the results.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::measure::{Figure, Goal, Spread, Verdict};

/// Where the table begins in `RESULTS.md`.
const BEGIN: &str = "<!-- figures: benches/run --write -->";
const END: &str = "<!-- end of figures -->";

/// All figures: a run of some rows leaves the others as they were.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// One benchmark, and under which conditions it ran.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) conditions: BTreeMap<String, String>,
    pub(crate) quick: bool,
    /// Empty if it has failed.
    pub(crate) figures: Vec<Figure>,
}

impl Row {
    /// The major version of PostgreSQL.
    fn server(&self) -> Option<&str> {
        let version = self.conditions.get("PostgreSQL")?;
        version.split(['.', ' ']).next()
    }
}

impl Report {
    /// The figures of earlier runs, if there are any.
    #[must_use]
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Adds a row in the place of an earlier one on the same server.
    pub(crate) fn replace(&mut self, row: Row) {
        let same = |each: &Row| each.name == row.name && each.server() == row.server();
        self.rows.retain(|each| !same(each));
        self.rows.push(row);
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Writes the table into the page with the results, in the order of `names`.
    pub(crate) fn write_into(&self, path: &Path, names: &[&str]) -> Result<()> {
        let page = std::fs::read_to_string(path)?;
        let (before, rest) = page.split_once(BEGIN).context("no mark in the page")?;
        let (_, after) = rest.split_once(END).context("no second mark in the page")?;
        let table = self.markdown(names);
        std::fs::write(path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?;
        Ok(())
    }

    /// A table for each run, the largest one first: a run has its conditions, which rows of another
    /// run or server do not share.
    fn markdown(&self, names: &[&str]) -> String {
        let mut runs: Vec<(&BTreeMap<String, String>, Vec<&Figure>)> = Vec::new();
        let mut missing = Vec::new();
        for name in names {
            let measured = |row: &&Row| !row.quick && !row.figures.is_empty();
            let rows = self.rows.iter().filter(|row| row.name == *name);
            let rows: Vec<&Row> = rows.filter(measured).collect();
            if rows.is_empty() {
                missing.push(*name);
            }
            for row in rows {
                let mut known = runs.iter_mut();
                match known.find(|(conditions, _)| **conditions == row.conditions) {
                    Some((_, figures)) => figures.extend(&row.figures),
                    None => runs.push((&row.conditions, row.figures.iter().collect())),
                }
            }
        }
        runs.sort_by_key(|(_, figures)| Reverse(figures.len()));
        let mut out = String::new();
        for (conditions, figures) in &runs {
            let first = runs[0].0;
            let is_first = first == *conditions;
            if !is_first {
                out.push_str("\nOn another server or in another run, with these differences:\n\n");
            }
            for (name, value) in *conditions {
                if is_first || first.get(name) != Some(value) {
                    out.push_str(&format!("- {name}: {value}\n"));
                }
            }
            out.push_str(
                "\n| row | what | ours | limit | ratio | goal | |\n|---|---|--:|--:|--:|--:|---|\n",
            );
            for figure in figures {
                out.push_str(&format!("| {} |\n", cells(figure).join(" | ")));
            }
        }
        if !missing.is_empty() {
            out.push_str(&format!("\nNot measured: {}.\n", missing.join(", ")));
        }
        out
    }
}

/// A figure on one line of a terminal.
#[must_use]
pub(crate) fn line(figure: &Figure) -> String {
    let [row, what, ours, limit, ratio, goal, verdict] = cells(figure);
    format!("{row:<16} {what:<46} {ours:>30} {limit:>30}  {ratio:>22} {goal:>8} {verdict}")
}

fn cells(figure: &Figure) -> [String; 7] {
    let unit = &figure.unit;
    let spread = |values: &[f64]| match values {
        [] => String::new(),
        [one] => format!("{} {unit}", number(*one)),
        many => format!("{} {unit}", range(Spread::of(many))),
    };
    let goal = match figure.goal {
        Goal::None => String::new(),
        Goal::RatioAtLeast(bound) => format!("≥ {bound}"),
        Goal::RatioAtMost(bound) => format!("≤ {bound}"),
        Goal::AtMost(bound) => format!("≤ {bound} {unit}"),
    };
    let verdict = match figure.verdict() {
        None => "",
        Some(Verdict::Met) => "met",
        Some(Verdict::Missed) => "**missed**",
        Some(Verdict::Equal) => "equal",
    };
    [
        figure.row.clone(),
        figure.what.clone(),
        spread(&figure.ours),
        spread(&figure.limit),
        figure.ratio().map_or_else(String::new, range),
        goal,
        verdict.to_owned(),
    ]
}

/// `12.3 (11.9–12.8)`
fn range(spread: Spread) -> String {
    let Spread {
        median,
        lowest,
        highest,
    } = spread;
    format!(
        "{} ({}–{})",
        number(median),
        number(lowest),
        number(highest)
    )
}

/// Three significant figures.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
