//! Prometheus: its configuration, and the alerts with their own tests.

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
