//! Clients that place orders and cancel some, disconnect at random moments, and repeat a request
//! with the same key if they do not know its result. They record what they ask and hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use harness::{Answer, Client, load};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::history::History;
use crate::plan::Plan;

/// How long a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Clients at work.
pub(crate) struct Clients {
    closing: CancellationToken,
    /// True while they pause.
    paused: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(crate) fn start(plan: &Plan, base: &str, history: &History) -> Self {
        let closing = CancellationToken::new();
        let paused = watch::Sender::new(false);
        let operations = Arc::new(AtomicU64::new(0));
        let one = |(number, pause): (usize, &u64)| {
            let client = OneClient {
                client: Client::new(base),
                history: history.clone(),
                rng: Rng::with_seed(plan.seed ^ ((number as u64 + 1) << 32)),
                pause: *pause,
                operations: Arc::clone(&operations),
                number,
                placed: Vec::new(),
                paused: paused.subscribe(),
            };
            tokio::spawn(client.work(closing.clone()))
        };
        let tasks = plan.pauses.iter().enumerate().map(one).collect();
        Self {
            closing,
            paused,
            tasks,
        }
    }

    /// Pauses them, or lets them continue.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Lets them finish their requests.
    pub(crate) async fn stop(self) {
        self.closing.cancel();
        self.pause(false);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

struct OneClient {
    client: Client,
    history: History,
    rng: Rng,
    pause: u64,
    operations: Arc<AtomicU64>,
    number: usize,
    /// Orders that it knows and has not cancelled.
    placed: Vec<i64>,
    paused: watch::Receiver<bool>,
}

/// What a client knows about a request.
enum Known {
    Ok(i64),
    Fail(u16),
    /// With the status, if there was an answer.
    Unknown(Option<u16>),
}

impl OneClient {
    async fn work(mut self, closing: CancellationToken) {
        while !closing.is_cancelled() {
            let _ = self.paused.wait_for(|paused| !paused).await;
            let op = self.operations.fetch_add(1, Ordering::Relaxed);
            match self.rng.u8(0..20) {
                0..5 if !self.placed.is_empty() => self.cancel(op).await,
                5..7 => self.hang_up(op).await,
                7..12 => self.place_surely(op, &closing).await,
                _ => self.place(op).await,
            }
            let pause = self.rng.u64(0..=self.pause);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Once: without an answer, the result stays unknown.
    async fn place(&mut self, op: u64) {
        self.invoke(op, json!({"do": "place", "marker": marker(op)}));
        let body = load::nth_order(op).to_string();
        let headers = [("content-type", "application/json")];
        let known = self.ask("POST", "orders", &headers, &body).await;
        self.hear(op, &known);
        self.placed.extend(known.order());
    }

    /// With a key, repeated until the result is known.
    async fn place_surely(&mut self, op: u64, closing: &CancellationToken) {
        let key = format!("key-{op}");
        self.invoke(op, json!({"do": "place", "marker": marker(op), "key": key}));
        let body = load::nth_order(op).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", &key),
        ];
        loop {
            let known = self.ask("POST", "orders", &headers, &body).await;
            if matches!(known, Known::Unknown(_)) && !closing.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            self.hear(op, &known);
            self.placed.extend(known.order());
            return;
        }
    }

    async fn cancel(&mut self, op: u64) {
        let id = self
            .placed
            .swap_remove(self.rng.usize(0..self.placed.len()));
        self.invoke(op, json!({"do": "cancel", "order": id}));
        let path = format!("order/{id}");
        let known = self.ask("DELETE", &path, &[], "").await;
        self.hear(op, &known);
    }

    /// The result of a request; a client without an answer in time disconnects.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Known {
        let request = self.client.try_send(method, path, headers, body);
        known(tokio::time::timeout(PATIENCE, request).await.ok().flatten())
    }

    /// Sends a request, and disconnects some microseconds later.
    async fn hang_up(&mut self, op: u64) {
        self.invoke(op, json!({"do": "place", "marker": marker(op)}));
        let after = Duration::from_micros(self.rng.u64(0..8_000));
        let authority = self.client.url("");
        let authority = authority
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let _ = hang_up(authority, &load::nth_order(op), after).await;
        self.hear(op, &Known::Unknown(None));
    }

    fn invoke(&self, op: u64, mut what: Value) {
        what["type"] = "invoke".into();
        what["op"] = op.into();
        what["client"] = self.number.into();
        self.history.tell(what);
    }

    fn hear(&self, op: u64, known: &Known) {
        self.history.tell(match known {
            Known::Ok(id) => json!({"type": "ok", "op": op, "order": id}),
            Known::Fail(status) => json!({"type": "fail", "op": op, "status": status}),
            Known::Unknown(status) => json!({"type": "unknown", "op": op, "status": status}),
        });
    }
}

impl Known {
    fn order(&self) -> Option<i64> {
        match self {
            Self::Ok(id) => Some(*id),
            _ => None,
        }
    }
}

/// A text that `load::nth_order` writes into one order alone.
pub(crate) fn marker(op: u64) -> String {
    format!("Dock {op}")
}

fn known(answer: Option<Answer>) -> Known {
    match answer {
        Some(answer) if answer.status == 200 || answer.status == 201 => {
            Known::Ok(answer.json()["id"].as_i64().unwrap())
        }
        // It was refused. A service that answers 5xx may not know itself: a commit may be done.
        Some(answer) if answer.status < 500 => Known::Fail(answer.status),
        Some(answer) => Known::Unknown(Some(answer.status)),
        None => Known::Unknown(None),
    }
}

/// Sends an order and closes the connection, with a reset if anything was on its way to us.
pub(crate) async fn hang_up(
    authority: &str,
    order: &Value,
    after: Duration,
) -> std::io::Result<()> {
    let body = order.to_string();
    let mut socket = TcpStream::connect(authority).await?;
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    tokio::time::sleep(after).await;
    Ok(())
}
