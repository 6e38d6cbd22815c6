//! What a service shows at `/metrics`. `promtool` checks its form; this reads its numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use crate::Client;
use crate::programs::{available, program, succeed};

/// All numbers of one scrape.
#[derive(Debug)]
pub struct Metrics {
    /// By their names.
    pub families: BTreeMap<String, Family>,
    text: String,
}

/// The measurements under one name.
#[derive(Debug, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it means.
    pub help: String,
    samples: Vec<Sample>,
}

/// One line.
#[derive(Debug)]
struct Sample {
    /// What follows the family's name, such as `_count`.
    suffix: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Scrapes a service; `None` if it does not answer, for which Prometheus sets `up == 0`.
    ///
    /// # Panics
    ///
    /// The answer is no text of measurements.
    pub async fn scrape(client: &Client, path: &str) -> Option<Self> {
        let answer = client.try_send("GET", path, &[], "").await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let media_type = answer.header("content-type");
        assert!(media_type.starts_with("text/plain; version=0.0.4"));
        let families = parse(&answer.body);
        Some(Self {
            families,
            text: answer.body,
        })
    }

    /// The number of that name whose labels include these.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let samples = &self.families.get(name)?.samples;
        let has = |sample: &&Sample| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| sample.labels.get(*name).is_some_and(|v| v == value))
        };
        let plain = samples.iter().filter(|sample| sample.suffix.is_empty());
        plain
            .filter(has)
            .map(|sample| sample.value)
            .reduce(f64::max)
    }

    /// Checks the text by Prometheus' own `promtool`; and what that one (2.42) lets pass: a line that
    /// is there twice, and buckets that do not add up.
    ///
    /// # Panics
    ///
    /// Something is wrong.
    pub async fn check(&self) {
        for (name, family) in &self.families {
            family.check(name);
        }
        if !available(&["promtool"]) {
            return;
        }
        let mut text = tempfile::tempfile().expect("a file");
        text.write_all(self.text.as_bytes()).expect("written");
        text.rewind().expect("a file");
        let mut promtool = program("promtool");
        promtool.args(["check", "metrics"]).stdin(text);
        succeed(promtool).await;
    }
}

impl Family {
    /// The names of its labels, but that of a bucket.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<&str> {
        let samples = self.samples.iter();
        let names = samples.flat_map(|sample| sample.labels.keys());
        names
            .map(String::as_str)
            .filter(|name| *name != "le")
            .collect()
    }

    fn check(&self, name: &str) {
        let mut seen = BTreeSet::new();
        let mut before = None;
        for sample in &self.samples {
            let line = (&sample.suffix, &sample.labels);
            assert!(seen.insert(line), "{name}{} twice", sample.suffix);
            if sample.suffix == "_bucket" {
                let bound: f64 = sample.labels["le"].parse().expect("a bound");
                if let Some((least, count)) = before {
                    assert!(bound > least && sample.value >= count, "{name}: {sample:?}");
                }
                before = Some((bound, sample.value));
            } else if sample.suffix == "_count" {
                let all = Some((f64::INFINITY, sample.value));
                assert_eq!(before.take(), all, "{name}: all buckets are all");
            }
        }
    }
}

fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and its meaning");
            current = name.to_owned();
            families.entry(current.clone()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and its type");
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else {
            let family = families.entry(current.clone()).or_default();
            family.samples.push(Sample::parse(line, &current));
        }
    }
    families
}

impl Sample {
    fn parse(line: &str, family: &str) -> Self {
        let (name, value) = line.rsplit_once(' ').expect("a name and a number");
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let suffix = name.strip_prefix(family).expect("the family's name");
        // No label of ours has a comma or a quote in its value.
        let labels = labels.trim_end_matches('}').split(',');
        let label = |label: &str| {
            let (name, value) = label.split_once('=').expect("a label");
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        Self {
            suffix: suffix.to_owned(),
            labels: labels
                .filter(|label| !label.is_empty())
                .map(label)
                .collect(),
            value: value.parse().expect("a number"),
        }
    }
}
