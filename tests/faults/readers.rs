//! Readers of the feed, each in its own way. They record every answer: which events it showed, and
//! which condition a `304` answered.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use harness::{Answer, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clients::PATIENCE;
use crate::history::History;
use crate::plan::Plan;

/// The longest time in which they read the newest event in the end, in milliseconds.
const LAST: u64 = 10_000;

/// Readers at work.
pub(crate) struct Readers {
    closing: CancellationToken,
    last: Arc<OnceLock<Last>>,
    history: History,
    tasks: Vec<JoinHandle<()>>,
}

/// What each of them reads before it ends.
struct Last {
    newest: i64,
    /// Until when, in milliseconds since the beginning.
    until: u64,
}

impl Readers {
    pub(crate) fn start(plan: &Plan, base: &str, history: &History) -> Self {
        let (closing, last) = (CancellationToken::new(), Arc::default());
        // The checker expects answers to each of these.
        let reader = |names: &[&str]| {
            for name in names {
                history.tell(json!({"type": "reader", "reader": name}));
            }
            Reader {
                client: Client::new(base),
                history: history.clone(),
                closing: closing.clone(),
                last: Arc::clone(&last),
            }
        };
        let mut tasks = vec![tokio::spawn(reader(&["tag"]).by_tag())];
        if !plan.few_readers {
            tasks.push(tokio::spawn(reader(&["date"]).by_date()));
            tasks.push(tokio::spawn(reader(&["forward", "batch"]).forward()));
        }
        Self {
            closing,
            last,
            history: history.clone(),
            tasks,
        }
    }

    /// Lets them finish, when they have read this event.
    pub(crate) async fn stop(self, newest: i64) {
        let until = self.history.now() + LAST;
        let _ = self.last.set(Last { newest, until });
        self.closing.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

struct Reader {
    client: Client,
    history: History,
    closing: CancellationToken,
    last: Arc<OnceLock<Last>>,
}

/// Each request on a connection of its own, so that it may reach any instance.
const ALONE: (&str, &str) = ("connection", "close");

impl Reader {
    /// False at the end, for a reader that knows the newest event.
    fn continues(&self, known: i64) -> bool {
        let last = self.last.get();
        last.is_none_or(|last| known < last.newest && self.history.now() < last.until)
    }

    /// Requests with the last tag, and waits at the server. It ends with a `304`.
    async fn by_tag(self) {
        let (mut tag, mut known, mut is_newest) = (String::new(), 0, false);
        while self.continues(if is_newest { known } else { -1 }) {
            let headers = [
                ALONE,
                ("a-im", "feed"),
                ("prefer", "wait=1"),
                ("if-none-match", &tag),
            ];
            let answer = self.ask("tag", "feed", &headers, known).await;
            is_newest = answer.as_ref().is_some_and(|answer| answer.status == 304);
            if let Some(answer) = answer.filter(|answer| matches!(answer.status, 200 | 226)) {
                answer.header("etag").clone_into(&mut tag);
                // An older head has another tag, which identifies its content.
                known = newest(&answer);
            }
            self.pause(20).await;
        }
    }

    /// Requests with the last date, as a mirrored file is kept up to date.
    async fn by_date(self) {
        let (mut date, mut known) = (String::new(), 0);
        while self.continues(known) {
            let headers = [ALONE, ("if-modified-since", &date)];
            let answer = self.ask("date", "feed", &headers, known).await;
            if let Some(answer) = answer.filter(|answer| answer.status == 200) {
                // Without a date it requests without a condition.
                answer.header("last-modified").clone_into(&mut date);
                known = newest(&answer);
            }
            self.pause(50).await;
        }
    }

    /// Follows `?after=` from the first event, with the data of all, again and again.
    async fn forward(self) {
        let mut known = 0;
        while self.continues(known) {
            let mut at = "start".to_owned();
            // If sequences are missing at the end of a page, it leads to itself: the checker sees
            // that.
            while let Some(next) = self.step(&at).await.filter(|(next, _)| *next != at) {
                (at, known) = next;
            }
            self.pause(300).await;
        }
    }

    /// One document forward: its cursor, and its newest event; `None` at the end.
    async fn step(&self, cursor: &str) -> Option<(String, i64)> {
        let path = format!("feed?after={cursor}");
        let mut answer = self.ask("forward", &path, &[ALONE], 0).await?;
        if answer.status == 303 {
            // Our redirects are relative.
            let page = answer.header("location").to_owned();
            let page = url::Url::parse(&self.client.url("feed"))
                .unwrap()
                .join(&page)
                .unwrap();
            answer = self.ask("forward", page.as_str(), &[ALONE], 0).await?;
        }
        let batch = link(&answer.body, "related")?;
        self.ask("batch", &batch, &[ALONE], 0).await?;
        let cursor = answer.elements("event:cursor").first()?.clone();
        Some((cursor, newest(&answer)))
    }

    async fn pause(&self, milliseconds: u64) {
        let pause = tokio::time::sleep(Duration::from_millis(milliseconds));
        let _ = self.closing.run_until_cancelled(pause).await;
    }

    /// A request that is recorded. `known` is the newest event in the document of its validator.
    async fn ask(
        &self,
        reader: &str,
        path: &str,
        headers: &[(&str, &str)],
        known: i64,
    ) -> Option<Answer> {
        let headers = headers
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .copied();
        let headers: Vec<_> = headers.collect();
        let begin = self.history.now();
        let request = self.client.try_send("GET", path, &headers, "");
        let answer = tokio::time::timeout(PATIENCE, request).await.ok()??;
        self.history.seen(json!({
            "from": begin, "reader": reader, "path": path, "status": answer.status, "known": known,
            "etag": answer.header("etag"), "modified": answer.header("last-modified"),
            "date": answer.header("date"),
            "body": (answer.status == 200).then(|| hash(&answer.body)),
            "final": answer.header("cache-control").contains("immutable").then(|| hash(&answer.body)),
            "events": if reader == "batch" { Vec::new() } else { entries(&answer.body) },
            "data": if reader == "batch" { data(&answer.body) } else { Vec::new() },
        }));
        Some(answer)
    }
}

fn newest(answer: &Answer) -> i64 {
    entries(&answer.body)
        .iter()
        .filter_map(|entry| entry[0].as_i64())
        .max()
        .unwrap_or_default()
}

/// Sequence, id and a hash of each entry.
fn entries(body: &str) -> Vec<Value> {
    let entry = |text: &str| {
        let text = text.split("</entry>").next()?;
        let part = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split('<').next()?.to_owned())
        };
        let sequence: i64 = part("event:sequence")?.parse().ok()?;
        Some(json!([sequence, part("id")?, hash(text)]))
    };
    body.split("<entry>").skip(1).filter_map(entry).collect()
}

/// The same of each event of a batch.
fn data(body: &str) -> Vec<Value> {
    let events: Vec<Value> = serde_json::from_str(body).unwrap_or_default();
    let event = |event: &Value| {
        let sequence: i64 = event["sequence"].as_str()?.parse().ok()?;
        let id = format!("urn:uuid:{}", event["id"].as_str()?);
        Some(json!([sequence, id, hash(&event["data"].to_string())]))
    };
    events.iter().filter_map(event).collect()
}

pub(crate) fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn link(body: &str, rel: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<link rel=\"{rel}\""))?;
    let (_, rest) = rest.split_once("href=\"")?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}
