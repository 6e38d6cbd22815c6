//! Prometheus: its configuration, and the alerts with their own tests and their table in the documentation.

use harness::programs::{available, program, succeed};

use crate::site::deploy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alerts_fire_when_they_should() {
    if !available(&["promtool"]) {
        return;
    }
    for (check, file) in [
        (["check", "config"], "prometheus.yml"),
        (["check", "rules"], "alerts.yml"),
        (["test", "rules"], "alerts_test.yml"),
    ] {
        let mut promtool = program("promtool");
        promtool.args(check).arg(deploy().join(file));
        let said = succeed(promtool).await;
        assert!(said.contains("SUCCESS"), "{check:?}: {said}");
    }
}

#[test]
fn the_documentation_names_each_alert() {
    let alerts = std::fs::read_to_string(deploy().join("alerts.yml")).unwrap();
    let docs = std::fs::read_to_string(deploy().join("../docs/deployment.md")).unwrap();
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 9);
    for name in names {
        let row = |line: &str| line.starts_with("| ") && line.contains(name);
        assert!(docs.lines().any(row), "{name} is in no table");
    }
}
