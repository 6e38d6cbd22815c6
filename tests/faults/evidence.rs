//! What a run leaves in its directory: the records of clients and readers, and the content of all
//! databases after the last fault.

use std::path::Path;

use harness::checker::documents_in;
use harness::{Cluster, tables};
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::history::FILES;
use crate::operators;

/// The input of the checker.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(crate) history: Vec<Value>,
    pub(crate) http: Vec<Value>,
    pub(crate) samples: Vec<Value>,
    /// The order service's database.
    pub(crate) order: Value,
    /// Those of the consumers, by their names.
    pub(crate) consumers: Vec<(&'static str, Value)>,
    /// The database of a consumer that is no program of ours, where there is one. V1, V5 and V11 judge it. It has one kind of
    /// effect, and neither cursors nor leases that V4, V6 and V7 could judge.
    pub(crate) bills: Option<Value>,
    /// The database of a consumer that sends to a webhook, where there is one; it has no effects of its own.
    pub(crate) webhook: Option<Value>,
    /// What the webhook got.
    pub(crate) sent: Vec<Value>,
    /// What operators see after the last fault.
    pub(crate) shown: Value,
}

/// The name of the file with what operators see.
const SHOWN: &str = "operators";

/// The consumers.
const CONSUMERS: [&str; 2] = ["invoice", "shipping"];

impl Evidence {
    /// Reads what a run has left.
    pub(crate) fn read(directory: &Path) -> Self {
        let file = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        let json = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let [history, http, samples, sent] =
            FILES.map(|name| file(name).lines().map(json).collect::<Vec<_>>());
        let database = |name: &str| json(&file(&format!("{name}.json")));
        let beside = |name: &str| {
            let exists = directory.join(format!("{name}.json")).exists();
            exists.then(|| database(name))
        };
        Self {
            history,
            http,
            samples,
            order: database("order"),
            consumers: CONSUMERS.map(|name| (name, database(name))).into(),
            bills: beside("bills"),
            webhook: beside("webhook"),
            sent,
            shown: database(SHOWN),
        }
    }

    /// All consumers with the library's tables, by their names.
    pub(crate) fn followers(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let consumers = self.consumers.iter();
        let webhook = self.webhook.iter().map(|webhook| ("webhook", webhook));
        consumers.map(|(name, found)| (*name, found)).chain(webhook)
    }

    /// When something was marked, in milliseconds.
    pub(crate) fn mark(&self, name: &str) -> Option<u64> {
        let mark = self.history.iter().find(|line| line["mark"] == name)?;
        mark["at"].as_u64()
    }
}

/// Writes all databases into the directory of the run.
pub(crate) async fn write(fleet: &Fleet) {
    for group in fleet.groups.iter().chain(&fleet.bills).chain(&fleet.sender) {
        let cluster = &group.cluster;
        let tables = match cluster.service {
            "order" => order(cluster).await,
            "bills" => bills(cluster).await,
            _ => consumer(cluster).await,
        };
        let file = fleet.directory.join(format!("{}.json", cluster.service));
        std::fs::write(file, tables.to_string()).unwrap();
    }
    let shown = operators::ask(fleet).await;
    let file = fleet.directory.join(format!("{SHOWN}.json"));
    std::fs::write(file, shown.to_string()).unwrap();
}

async fn order(cluster: &Cluster) -> Value {
    let url = cluster.database.url();
    let unnumbered = match tables::is_postgres(url) {
        true => tables::number(url, "SELECT count(*) FROM feed_outbox").await,
        false => 0,
    };
    json!({
        "events": objects(url, "feed_event", &[
            "sequence", "id", "event_type AS type", "subject", "updated", "data"]).await,
        "orders": objects(url, "orders", &[
            "id", "status", "shipping_street AS marker", "total_cents", "number_of_lines"]).await,
        "head": objects(url, "feed_head", &["epoch", "sequence", "anchor"]).await,
        "unnumbered": unnumbered,
    })
}

async fn consumer(cluster: &Cluster) -> Value {
    let url = cluster.database.url();
    let mut found = json!({
        "partitions": objects(url, "feed_partition", &["partition", "sequence", "anchor"]).await,
        "claims": objects(url, "feed_claim", &["event_id", "sequence", "subject"]).await,
        "parked": objects(url, "feed_parked", &["event_id", "reason"]).await,
        "skipped": objects(url, "feed_skip", &["event_id", "reason"]).await,
        "subscription": objects(url, "feed_subscription", &["halted"]).await,
        "audit": objects(url, "test_audit", &[
            "n", "what", "key", "old", "new", "epoch", "owner"]).await,
    });
    if CONSUMERS.contains(&cluster.service) {
        found["documents"] = tables::texts(url, documents_in(cluster.service))
            .await
            .into();
    }
    if tables::is_postgres(url) {
        let all = [
            "n", "what", "key", "old", "new", "epoch", "owner", "app", "tx",
        ];
        found["audit"] = objects(url, "test_audit", &all).await.into();
    }
    found
}

async fn bills(cluster: &Cluster) -> Value {
    let url = cluster.database.url();
    json!({
        "claims": objects(url, "feed_claim", &["failed", "'urn:uuid:' || event AS event_id"]).await,
        "documents": tables::texts(url, "SELECT order_id || '|' || cents FROM bill").await,
    })
}

/// The rows of a table as objects, in the order of their first column.
async fn objects(url: &str, table: &str, columns: &[&str]) -> Vec<Value> {
    let json = match tables::is_postgres(url) {
        true => "jsonb_build_object",
        false => "json_object",
    };
    let members: Vec<String> = columns
        .iter()
        .map(|column| match column.split_once(" AS ") {
            Some((column, name)) => format!("'{name}', {column}"),
            None => format!("'{column}', {column}"),
        })
        .collect();
    let sql = format!(
        "SELECT CAST({json}({}) AS TEXT) FROM {table} ORDER BY {}",
        members.join(", "),
        columns[0].split(' ').next().unwrap_or_default(),
    );
    let rows = tables::texts(url, &sql).await;
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}
