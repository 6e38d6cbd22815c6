//! What a service shows at `/metrics`, read as strictly as the format allows.

use std::collections::{BTreeMap, BTreeSet};

use crate::Client;

/// All numbers of one scrape.
#[derive(Debug)]
pub struct Metrics {
    /// By their names.
    pub families: BTreeMap<String, Family>,
}

/// What has one name.
#[derive(Debug, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// Its lines.
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug)]
pub struct Sample {
    /// What stands behind the family's name, such as `_count`.
    pub suffix: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

impl Metrics {
    /// Scrapes a service; `None` if it does not answer, which Prometheus tells as `up == 0`.
    ///
    /// # Panics
    ///
    /// What it answers is malformed.
    pub async fn scrape(client: &Client, path: &str) -> Option<Self> {
        let answer = client.try_send("GET", path, &[], "").await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let media_type = answer.header("content-type");
        assert!(media_type.starts_with("text/plain; version=0.0.4"));
        Some(Self::parse(&answer.body))
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

    fn parse(text: &str) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a name and what it means");
                current = name.to_owned();
                let help = help.to_owned();
                let family = Family {
                    help,
                    ..Family::default()
                };
                let before = families.insert(current.clone(), family);
                assert!(before.is_none(), "{name} stands in two places");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and its type");
                assert_eq!(name, current, "the type follows the help");
                families.get_mut(name).expect("its help").kind = kind.to_owned();
            } else {
                let sample = Sample::parse(line, &current);
                let family = families.get_mut(&current).expect("a head before it");
                family.samples.push(sample);
            }
        }
        for (name, family) in &families {
            family.check(name);
        }
        Self { families }
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
        assert_eq!(self.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(!self.samples.is_empty(), "{name} has no numbers");
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            let line = (sample.suffix.as_str(), &sample.labels);
            assert!(seen.insert(line), "{name}{} twice", sample.suffix);
        }
        if self.kind != "histogram" {
            assert!(self.samples.iter().all(|sample| sample.suffix.is_empty()));
            return;
        }
        let mut before = None;
        for sample in &self.samples {
            match sample.suffix.as_str() {
                "_bucket" => {
                    let bound: f64 = sample.labels["le"].parse().expect("a bound");
                    if let Some((least, count)) = before {
                        assert!(bound > least && sample.value >= count, "{name}: {sample:?}");
                    }
                    before = Some((bound, sample.value));
                }
                "_sum" => {}
                "_count" => {
                    let all = Some((f64::INFINITY, sample.value));
                    assert_eq!(before.take(), all, "{name}: all buckets are all");
                }
                other => panic!("{name}{other}"),
            }
        }
    }
}

impl Sample {
    fn parse(line: &str, family: &str) -> Self {
        let (name, value) = line.rsplit_once(' ').expect("a name and a number");
        let (name, labels) = match name.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("a brace")),
            None => (name, ""),
        };
        let suffix = name.strip_prefix(family).expect("the family's name");
        let mut read = BTreeMap::new();
        let mut rest = labels;
        while !rest.is_empty() {
            let (name, value) = rest.split_once("=\"").expect("a label");
            // None of ours holds a quote.
            let (value, after) = value.split_once('"').expect("its end");
            assert!(read.insert(name.to_owned(), value.to_owned()).is_none());
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Self {
            suffix: suffix.to_owned(),
            labels: read,
            value: value.parse().expect("a number"),
        }
    }
}
