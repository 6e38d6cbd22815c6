//! What operators see after the last fault: the status and the metrics of each instance, what `reconcile` finds, and the
//! panics in the logs; and what the checker finds in that.

use std::collections::BTreeSet;

use harness::metrics::Metrics;
use serde_json::{Value, json};

use crate::evidence::Evidence;
use crate::fleet::Fleet;
use crate::group::Group;
use crate::rules::{Checked, holds, list, number, same_list, text};

/// What a consumer reports about its lag and about failed events.
const OF_A_CONSUMER: [&str; 4] = [
    "subscription_lag_events",
    "subscription_halted",
    "subscription_parked_events",
    "subscription_waiting_events",
];

/// Asks all instances of our programs and their commands.
pub(crate) async fn ask(fleet: &Fleet) -> Value {
    let mut found = json!({"reconciled": [], "panics": []});
    for group in fleet.every().filter(|group| !group.is_foreign()) {
        let cluster = &group.cluster;
        let (name, path, metrics) = match cluster.service {
            "order" | "feed" => ("publisher", "feed/status", &["feed_sequence"][..]),
            name => (name, "status", &OF_A_CONSUMER[..]),
        };
        found[name] = ask_each(group, path, metrics).await;
        for line in cluster.panics() {
            push(&mut found["panics"], format!("{name}: {line}").into());
        }
        if cluster.program == [cluster.service] {
            let output = cluster.output(&["reconcile", "--json"]).await;
            let said = String::from_utf8_lossy(&output.stdout);
            let report = serde_json::from_str(&said).unwrap_or(Value::Null);
            let complaint = String::from_utf8_lossy(&output.stderr);
            push(
                &mut found["reconciled"],
                json!({"service": cluster.service, "code": output.status.code(),
                       "report": report, "complaint": complaint}),
            );
        }
    }
    found
}

fn push(list: &mut Value, one: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(one);
    }
}

async fn ask_each(group: &Group, path: &str, names: &[&str]) -> Value {
    let mut all = Vec::new();
    for instance in &group.running {
        let status = instance.client.json(path).await;
        let metrics = Metrics::scrape(&instance.client, "metrics").await;
        let metrics = names.iter().map(|name| {
            let value = metrics.as_ref().and_then(|all| all.value(name, &[]));
            ((*name).to_owned(), json!(value))
        });
        let metrics: serde_json::Map<_, _> = metrics.collect();
        all.push(json!({"instance": instance.name, "status": status, "metrics": metrics}));
    }
    all.into()
}

/// Every instance shows operators what the tables have: that everything is taken, and how much of it has failed.
pub(crate) fn v11_status_is_right(evidence: &Evidence) -> Checked {
    let newest = number(&evidence.order["head"][0]["sequence"]);
    let expected = |status: Value, metrics: Value| json!({"status": status, "metrics": metrics});
    shows(
        &evidence.shown["publisher"],
        &expected(
            json!({"sequence": newest, "unnumbered_seconds": null, "quarantined": 0}),
            json!({"feed_sequence": newest}),
        ),
    )?;
    for (name, consumer) in evidence.followers() {
        let first = |row: &&Value| !row["reason"].is_null();
        let all = list(&consumer["parked"]);
        let parked = all.iter().filter(first).count();
        let waiting = all.len() - parked;
        let skipped = list(&consumer["skipped"]).len();
        let status = json!({
            "sequence": newest, "head": newest, "lag": {"events": 0, "seconds": 0}, "parked": parked,
            "waiting": waiting, "skipped": skipped, "halted": null, "paused": null, "decision": null,
        });
        let metrics = json!({
            "subscription_lag_events": 0, "subscription_halted": 0,
            "subscription_parked_events": parked, "subscription_waiting_events": waiting,
        });
        shows(&evidence.shown[name], &expected(status, metrics))?;
    }
    Ok(())
}

/// Each instance shows all of that.
fn shows(instances: &Value, expected: &Value) -> Checked {
    let instances = list(instances);
    holds(!instances.is_empty(), || "no instance was asked".to_owned())?;
    for instance in instances {
        for part in ["status", "metrics"] {
            for (name, value) in expected[part].as_object().into_iter().flatten() {
                let shown = &instance[part][name];
                let same = match (shown.as_f64(), value.as_f64()) {
                    (Some(shown), Some(value)) => (shown - value).abs() < f64::EPSILON,
                    _ => shown == value,
                };
                holds(same, || {
                    format!("{name} is {value}, not as shown: {instance}")
                })?;
            }
        }
    }
    Ok(())
}

/// The stored orders, invoices and shipments are those of the feed. What was written past the order service has no order.
pub(crate) fn v5_nothing_differs(evidence: &Evidence) -> Checked {
    let orders = list(&evidence.order["orders"]).iter();
    let orders: BTreeSet<String> = orders
        .map(|order| format!("order/{}", order["id"]))
        .collect();
    let subjects = list(&evidence.order["events"]).iter();
    let subjects = subjects.map(|event| text(&event["subject"]).to_owned());
    let odd: Vec<String> = subjects
        .filter(|subject| !orders.contains(subject))
        .collect();
    for compared in list(&evidence.shown["reconciled"]) {
        let expected = match text(&compared["service"]) {
            "order" => odd.clone(),
            _ => Vec::new(),
        };
        let code = i64::from(!expected.is_empty());
        let found = list(&compared["report"]["differences"]).iter();
        let found = found.map(|difference| text(&difference["id"]).to_owned());
        same_list("what reconcile finds", expected, found.collect())?;
        holds(compared["code"] == code, || {
            format!("reconcile does not end with {code}: {compared}")
        })?;
    }
    Ok(())
}

/// No program of ours has panicked.
pub(crate) fn v11_no_panic(evidence: &Evidence) -> Checked {
    let panics = list(&evidence.shown["panics"]);
    holds(panics.is_empty(), || {
        let panics: Vec<&str> = panics.iter().map(text).collect();
        format!("there was a panic: {panics:?}")
    })
}
