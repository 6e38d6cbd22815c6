//! What must hold after the last fault, read from all databases: each event of the feed has exactly
//! one effect, one parked row or one skip, and the state is that of a run without faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::tables::{is_postgres, number, rows, texts};
use crate::{DEADLINE, audit};

/// Claims that are certain to stay: those far below the cursor are swept.
const MARGIN: i64 = 10_000;

/// An event as the publisher has stored it.
#[derive(Debug)]
struct Published {
    sequence: i64,
    id: String,
    kind: String,
    subject: String,
    data: Value,
}

/// All events of a feed.
#[derive(Debug)]
pub struct Story {
    events: Vec<Published>,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Story {
    /// Reads the events of an order service; all of them are published.
    pub async fn of(order_url: &str) -> Self {
        let json = if is_postgres(order_url) {
            "jsonb_build_object"
        } else {
            "json_object"
        };
        let sql = format!(
            "SELECT CAST({json}('sequence', sequence, 'id', id, 'type', event_type,
                                'subject', subject, 'data', data) AS TEXT)
             FROM feed_event ORDER BY sequence"
        );
        let rows = texts(order_url, &sql).await;
        let events: Vec<Value> = rows
            .iter()
            .map(|row| serde_json::from_str(row).expect("JSON"))
            .collect();
        let story = Self::from_rows(&events);
        let dense = story.events.iter().zip(1..);
        assert!(
            dense.into_iter().all(|(event, n)| event.sequence == n),
            "the feed has a hole"
        );
        story
    }

    /// The same from rows with `sequence`, `id`, `type`, `subject` and `data`, in sequence.
    #[must_use]
    pub fn from_rows(events: &[Value]) -> Self {
        let read = |event: &Value| {
            let text = |name: &str| event[name].as_str().expect("a text").to_owned();
            Published {
                sequence: event["sequence"].as_i64().expect("a published event"),
                id: format!("urn:uuid:{}", text("id")),
                kind: text("type"),
                subject: text("subject"),
                data: serde_json::from_str(&text("data")).expect("JSON"),
            }
        };
        Self {
            events: events.iter().map(read).collect(),
        }
    }

    /// The newest sequence.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.events.last().map_or(0, |event| event.sequence)
    }

    /// Waits until everything is applied, and checks the consumer's state; returns how long it
    /// took.
    pub async fn check(&self, cluster: &Cluster) -> Duration {
        let took = self.applied_by(cluster).await;
        self.effects(cluster).await;
        self.records(cluster).await;
        let url = cluster.database.url();
        if is_postgres(url)
            && number(
                url,
                "SELECT count(*) FROM pg_class WHERE relname = 'test_audit'",
            )
            .await
                == 1
        {
            audit::check(url).await;
        }
        took
    }

    /// Waits until lag is 0 in every partition, and no event is parked that a retry can apply: an
    /// effect that waits too long for a lock of a frozen instance is retried later.
    pub async fn applied_by(&self, cluster: &Cluster) -> Duration {
        let begin = Instant::now();
        let url = cluster.database.url();
        let poison = self.ids_of(&Published::is_poison).len();
        let parked = async || number(url, "SELECT count(*) FROM feed_parked").await as usize;
        while cluster.lowest().await < self.newest() || parked().await > poison {
            if begin.elapsed() > DEADLINE {
                let partitions = rows(url, "feed_partition", &["etag", "last_modified"]).await;
                let halted = rows(url, "feed_subscription", &[]).await;
                let parked = rows(url, "feed_parked", &["event"]).await;
                panic!(
                    "{} is not taken after {DEADLINE:?}: {halted:#?} {partitions:#?} {parked:#?}",
                    self.newest()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        begin.elapsed()
    }

    /// One document for each order that was placed, of the event that placed it, with its amounts.
    async fn effects(&self, cluster: &Cluster) {
        let url = cluster.database.url();
        if cluster.service == "invoice" {
            numbers(url).await;
        }
        let found = texts(url, documents_in(cluster.service)).await;
        let expected = self.documents(cluster.service);
        let documents = number(
            url,
            &format!("SELECT count(*) FROM {}", cluster.service_table()),
        )
        .await;
        let expected_documents = expected.len();
        same("effects", expected, found.into_iter().collect());
        assert_eq!(documents as usize, expected_documents, "documents");
    }

    /// What [`documents_in`] finds in a consumer that has applied all of this.
    #[must_use]
    pub fn documents(&self, service: &str) -> BTreeSet<String> {
        match service {
            "invoice" => self.expected("issued", "credited", true),
            _ => self.expected("pending", "stopped", false),
        }
    }

    /// What a consumer has that only bills orders: each with its amount.
    #[must_use]
    pub fn bills(&self) -> Vec<String> {
        let placed = self.events.iter().filter(|event| event.is_placed());
        let bill = |event: &Published| format!("{}|{}", event.data["id"], event.data["cents"]);
        placed.map(bill).collect()
    }

    /// The ids of the orders that a consumer that only bills them cannot bill.
    #[must_use]
    pub fn unbilled(&self) -> BTreeSet<String> {
        self.ids_of(&|event| event.is_poison() && event.kind == "order.placed")
    }

    /// The ids of all events, of those that stay parked, and of those that are skipped.
    #[must_use]
    pub fn ids(&self) -> [BTreeSet<String>; 3] {
        let which: [fn(&Published) -> bool; 3] =
            [|_| true, Published::is_poison, Published::is_unknown];
        which.map(|which| self.ids_of(&which))
    }

    /// The ids of the events that stay parked, unless their consumer erases: then they are passed over, since their data was
    /// erased; and so is the event that erases, which finds nothing.
    #[must_use]
    pub fn erased(&self) -> BTreeSet<String> {
        let erases = |event: &&Published| event.kind == "order.erased";
        let erasures = self.events.iter().filter(erases);
        let newest: BTreeMap<&str, i64> = erasures
            .map(|event| (event.subject.as_str(), event.sequence))
            .collect();
        self.ids_of(&|event| {
            let erasure = newest.get(event.subject.as_str());
            event.is_poison() && erasure.is_some_and(|at| *at >= event.sequence)
        })
    }

    /// The ids of the events whose claims are not swept.
    #[must_use]
    pub fn claimed(&self) -> BTreeSet<String> {
        let kept = self.newest() - MARGIN;
        self.ids_of(&|event| event.sequence > kept)
    }

    fn ids_of(&self, which: &dyn Fn(&Published) -> bool) -> BTreeSet<String> {
        let events = self.events.iter().filter(|event| which(event));
        events.map(|event| event.id.clone()).collect()
    }

    fn expected(&self, placed: &str, cancelled: &str, amounts: bool) -> BTreeSet<String> {
        let mut orders: BTreeMap<&str, (&Published, &str)> = BTreeMap::new();
        for event in self.events.iter().filter(|event| !event.is_poison()) {
            match event.kind.as_str() {
                "order.placed" => {
                    orders.entry(&event.subject).or_insert((event, placed));
                }
                "order.cancelled" => {
                    if let Some(order) = orders.get_mut(event.subject.as_str()) {
                        order.1 = cancelled;
                    }
                }
                _ => {}
            }
        }
        let line = |(event, status): &(&Published, &str)| {
            let lines = event.data["orderLine"].as_array().expect("lines");
            let (id, count) = (event.data["id"].to_string(), lines.len());
            let begin = format!("{id}|{}|{status}", event.id);
            match amounts {
                true => {
                    let cents: i64 = lines.iter().map(cents).sum();
                    format!("{begin}|{cents}|{cents}|{count}")
                }
                false => format!("{begin}|{count}"),
            }
        };
        orders.values().map(line).collect()
    }

    /// All claims that are not swept, and no other; poison is parked, unknown types are skipped;
    /// every cursor is at the head.
    async fn records(&self, cluster: &Cluster) {
        let url = cluster.database.url();
        let claims = texts(url, "SELECT event_id FROM feed_claim").await;
        let claims: BTreeSet<String> = claims.into_iter().collect();
        assert!(self.claimed().is_subset(&claims), "claims are missing");
        assert!(
            claims.is_subset(&self.ids_of(&|_| true)),
            "claims of no event"
        );
        for (table, expected) in [
            ("feed_parked", self.ids_of(&Published::is_poison)),
            ("feed_skip", self.ids_of(&Published::is_unknown)),
        ] {
            let found = texts(url, &format!("SELECT event_id FROM {table}")).await;
            same(table, expected, found.into_iter().collect());
        }
        let anchor = self.events.last().map_or("", |event| event.id.as_str());
        let off = format!(
            "SELECT count(*) FROM feed_partition
             WHERE sequence <> {} OR anchor <> '{anchor}'",
            self.newest()
        );
        assert_eq!(number(url, &off).await, 0, "cursors are not at the head");
    }
}

impl Published {
    /// True for events that cannot be applied, in the tests that use them.
    fn is_poison(&self) -> bool {
        self.data["poison"] == Value::Bool(true)
    }

    fn is_placed(&self) -> bool {
        self.kind == "order.placed" && !self.is_poison()
    }

    fn is_unknown(&self) -> bool {
        !self.is_poison() && !matches!(self.kind.as_str(), "order.placed" | "order.cancelled")
    }
}

/// The numbers of each year are 1, 2, 3 …, and the next one follows.
async fn numbers(url: &str) {
    let years = texts(
        url,
        "SELECT year || '|' || count(*) || '|' || min(serial) || '|' || max(serial) || '|' ||
                (SELECT next - 1 FROM invoice_counter WHERE invoice_counter.year = invoice.year)
         FROM invoice GROUP BY year",
    );
    for year in years.await {
        let parts: Vec<&str> = year.split('|').collect();
        let [_, count, first, last, taken] = parts[..] else {
            panic!("{year}");
        };
        assert_eq!(
            (first, last, taken),
            ("1", count, count),
            "numbers of {year}"
        );
    }
}

fn cents(line: &Value) -> i64 {
    let count = line["count"].as_i64().expect("a count");
    let price: f64 = line["item"]["price"].to_string().parse().expect("a price");
    count * (price * 100.0).round() as i64
}

/// A query for the consumer's documents, a text for each.
#[must_use]
pub fn documents_in(service: &str) -> &'static str {
    match service {
        "invoice" => {
            "SELECT invoice.order_id || '|' || cause || '|' || status || '|' ||
                    total_cents || '|' || sum(count * price_cents) || '|' || count(*)
             FROM invoice JOIN invoice_line ON invoice_line.order_id = invoice.order_id
             GROUP BY invoice.order_id, cause, status, total_cents"
        }
        _ => {
            "SELECT shipment.order_id || '|' || cause || '|' || status || '|' || count(*)
             FROM shipment JOIN shipment_line ON shipment_line.order_id = shipment.order_id
             GROUP BY shipment.order_id, cause, status"
        }
    }
}

/// Fails with what is missing and what is superfluous.
fn same(what: &str, expected: BTreeSet<String>, found: BTreeSet<String>) {
    if let Some(difference) = difference(&expected, &found) {
        panic!("{what}: {difference}");
    }
}

/// What is missing and what is superfluous, if anything is.
#[must_use]
pub fn difference(expected: &BTreeSet<String>, found: &BTreeSet<String>) -> Option<String> {
    let missing: Vec<_> = expected.difference(found).take(5).collect();
    let surplus: Vec<_> = found.difference(expected).take(5).collect();
    (!missing.is_empty() || !surplus.is_empty())
        .then(|| format!("missing {missing:#?}, too much {surplus:#?}"))
}
