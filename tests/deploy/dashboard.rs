//! The dashboard of Grafana: its structure, and each of its queries in a real Prometheus that scrapes
//! real services.

use std::collections::BTreeSet;

use harness::programs::{available, program};
use harness::{Backend, Client, Process, System, free_address, until};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use crate::site::deploy;

/// The panels that show nothing here, and why.
const EMPTY: [(&str, &str); 2] = [
    (
        "Time until all events are taken",
        "no consumer is behind, or falls behind",
    ),
    (
        "Pages from memory",
        "no page is immutable after so few events",
    ),
];

fn dashboard() -> Value {
    let text = std::fs::read_to_string(deploy().join("grafana/dashboard.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    let list = value[member].as_array();
    list.unwrap_or_else(|| panic!("{member} is no list in {value:#}"))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    let text = value[member].as_str().unwrap_or_default();
    assert!(!text.is_empty(), "{member} is missing in {value:#}");
    text
}

fn number(value: &Value, member: &str) -> i64 {
    let number = value[member].as_i64();
    number.unwrap_or_else(|| panic!("{member} is no number in {value:#}"))
}

/// The panels with queries.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = list(dashboard, "panels").iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// The queries of a panel, with the variables that Grafana replaces.
fn queries(panel: &Value) -> Vec<String> {
    let targets = list(panel, "targets").iter();
    let queries = targets.map(|target| text(target, "expr"));
    queries
        .map(|query| {
            let query = query.replace("$__rate_interval", "10s");
            query.replace("$job", ".+")
        })
        .collect()
}

#[test]
fn grafana_can_import_the_dashboard() {
    let dashboard = dashboard();
    text(&dashboard, "title");
    text(&dashboard, "uid");
    assert!(
        dashboard["id"].is_null(),
        "the id is that of one installation"
    );
    assert!(number(&dashboard, "schemaVersion") >= 39);
    let variables: Vec<_> = list(&dashboard["templating"], "list")
        .iter()
        .map(|variable| (text(variable, "name"), text(variable, "type")))
        .collect();
    assert_eq!(variables, [("datasource", "datasource"), ("job", "query")]);

    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(
            ids.insert(number(panel, "id")),
            "{title}: its id is another's"
        );
        let at = |member| number(&panel["gridPos"], member);
        assert!(at("w") > 0 && at("h") > 0 && at("x") >= 0 && at("x") + at("w") <= 24);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{title} covers another panel");
            }
        }
    }
    let mut titles = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(titles.insert(title), "{title} is there twice");
        assert!(
            matches!(text(panel, "type"), "stat" | "timeseries"),
            "{title}"
        );
        text(panel, "description");
        text(&panel["fieldConfig"]["defaults"], "unit");
        let mut references = BTreeSet::new();
        for target in list(panel, "targets") {
            assert!(references.insert(text(target, "refId")), "{title}");
            text(target, "legendFormat");
            // The reader chooses it; an address or uid would be that of one installation.
            for source in [panel, target] {
                assert_eq!(source["datasource"]["type"], "prometheus", "{title}");
                assert_eq!(source["datasource"]["uid"], "${datasource}", "{title}");
            }
            assert!(text(target, "expr").contains("job=~\"$job\""), "{title}");
        }
    }
    for (title, reason) in EMPTY {
        assert!(titles.contains(title), "{title}: {reason}");
    }
}

/// Names in the first column of the table in docs/metrics.md.
#[test]
fn the_dashboard_shows_each_metric() {
    let documented = std::fs::read_to_string(deploy().join("../docs/metrics.md")).unwrap();
    let documented: Vec<&str> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .filter(|(name, _)| !name.contains(['/', ' ', '.']))
        .map(|(name, _)| name)
        .collect();
    assert!(documented.len() > 15, "{documented:?}");
    let dashboard = dashboard();
    let all: Vec<String> = panels(&dashboard).into_iter().flat_map(queries).collect();
    let all = all.join("\n");
    for name in documented {
        assert!(all.contains(name), "no panel shows {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_query_of_the_dashboard_returns_data() {
    if !available(&["prometheus"]) {
        return;
    }
    let system = System::started(Backend::Sqlite).await;
    let directory = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&system, directory.path()).await;
    let dashboard = dashboard();
    let mut missing: Vec<(&str, String)> = Vec::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        for query in queries(panel) {
            // Also a query without data is one that Prometheus understands.
            prometheus.query(&query).await;
            if !EMPTY.iter().any(|(empty, _)| *empty == title) {
                missing.push((title, query));
            }
        }
    }
    assert!(missing.len() > 20, "{missing:#?}");
    until("each query returns data", async || {
        // A rate needs news between two scrapes.
        system.place().await;
        let mut left = Vec::new();
        for (title, query) in std::mem::take(&mut missing) {
            if prometheus.query(&query).await == 0 {
                left.push((title, query));
            }
        }
        missing = left;
        println!("no data yet: {missing:#?}");
        missing.is_empty().then_some(())
    })
    .await;
}

/// A Prometheus that scrapes three services each second.
struct Prometheus {
    client: Client,
    _process: Process,
}

impl Prometheus {
    async fn start(system: &System, directory: &std::path::Path) -> Self {
        let services = [
            ("order", &system.order),
            ("invoice", &system.invoice),
            ("shipping", &system.shipping),
        ];
        let jobs: Vec<Value> = services
            .map(|(name, service)| {
                let url = service.client.url("");
                let target = url.trim_start_matches("http://").trim_end_matches('/');
                let job = serde_json::json!({
                    "job_name": name,
                    "static_configs": [{"targets": [target]}],
                });
                job
            })
            .to_vec();
        let config = serde_json::json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": jobs,
        });
        // JSON is YAML.
        let file = directory.join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let address = free_address();
        let mut command = program("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start_command("prometheus", &mut command, &[], directory);
        let client = Client::new(&format!("http://{address}/"));
        until("Prometheus answers", async || {
            let answer = client.try_send("GET", "-/ready", &[], "").await?;
            (answer.status == 200).then_some(())
        })
        .await;
        Self {
            client,
            _process: process,
        }
    }

    /// How many series a query returns now.
    async fn query(&self, query: &str) -> usize {
        let encoded: String = byte_serialize(query.as_bytes()).collect();
        let path = format!("api/v1/query?query={encoded}");
        let answer = self.client.get(&path, &[]).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        list(&answer.json()["data"], "result").len()
    }
}
