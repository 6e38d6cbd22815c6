//! A webhook, to which `feed deliver --to` sends. It answers as badly as a seed decides: late, twice, not at all, after it
//! has acted and before, with each kind of status. It records each request, with what it did and what it answered.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::history::History;
use crate::readers;

/// How long its sender waits for an answer: longer than a late one takes.
pub(crate) const TIMEOUT: &str = "1s";

/// A late answer, in milliseconds.
const LATE: std::ops::Range<u64> = 10..200;

/// The most requests for one event that get an answer after which it is tried again later, and ever more rarely.
const RETRIED: u32 = 3;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// Acts, and answers that after so many milliseconds.
    Acts { status: u16, after: u64 },
    /// Acts, and answers twice.
    ActsTwice,
    /// Acts, and closes the connection without an answer.
    ActsAndDies,
    /// Acts, and closes the connection within the answer.
    ActsAndBreaks,
    /// Acts, and does not answer.
    ActsAndHangs,
    /// Does nothing, and answers that.
    Declines(u16),
    /// Does nothing, and closes the connection without an answer.
    Dies,
    /// Does nothing, and does not answer.
    Hangs,
}

/// A listener on a port of its own. Ends with the runtime of its test.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    seed: u64,
    history: History,
    /// How often each event was received.
    received: Arc<Mutex<HashMap<String, u32>>>,
    /// True if it takes everything at once, except what it refuses for good.
    well: Arc<AtomicBool>,
}

impl Receiver {
    pub(crate) async fn start(seed: u64, history: &History) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            seed,
            history: history.clone(),
            received: Arc::default(),
            well: Arc::default(),
        };
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((sender, _)) = listener.accept().await {
                let receiver = shared.clone();
                // Senders are killed on purpose.
                tokio::spawn(async move { receiver.serve(sender).await });
            }
        });
        receiver
    }

    /// From now on it takes everything at once, except what it refuses for good.
    pub(crate) fn recover(&self) {
        self.well.store(true, Ordering::Relaxed);
    }

    /// True if it never takes an event of this subject.
    pub(crate) fn refuses(&self, subject: &str) -> bool {
        self.random(&[subject]).u8(0..25) == 0
    }

    /// Answers the requests of one connection.
    async fn serve(&self, mut sender: TcpStream) -> std::io::Result<()> {
        let mut answered_twice = false;
        while let Some((id, event)) = request(&mut sender).await? {
            let from = self.history.now();
            let conduct = match self.conduct(&event) {
                // A sender that takes the second answer for that to its next request loses this one.
                Conduct::Acts { .. } if answered_twice => Conduct::Declines(503),
                conduct => conduct,
            };
            answered_twice = conduct == Conduct::ActsTwice;
            let answer = match conduct {
                Conduct::Acts { status, after } => {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    Some(status)
                }
                Conduct::ActsTwice => Some(204),
                Conduct::Declines(status) => Some(status),
                _ => None,
            };
            // First, so that nothing that follows from the answer is recorded before.
            self.history.sent(json!({
                "from": from, "id": format!("urn:uuid:{id}"), "body": format!("urn:uuid:{}", text(&event["id"])),
                "subject": event["subject"], "sequence": event["sequence"].as_str().and_then(|text| text.parse::<i64>().ok()), "type": event["type"],
                "data": readers::hash(&event["data"].to_string()),
                "conduct": format!("{conduct:?}"), "answered": answer,
                "refused": self.refuses(text(&event["subject"])),
            }));
            match conduct {
                Conduct::ActsTwice => {
                    sender
                        .write_all(answer_of(204).repeat(2).as_bytes())
                        .await?
                }
                Conduct::ActsAndBreaks => return sender.write_all(b"HTTP/1.1 204 No Con").await,
                Conduct::ActsAndDies | Conduct::Dies => return Ok(()),
                // Until the sender leaves.
                Conduct::ActsAndHangs | Conduct::Hangs => {
                    return sender.read_u8().await.map(drop);
                }
                Conduct::Acts { status, .. } | Conduct::Declines(status) => {
                    sender.write_all(answer_of(status).as_bytes()).await?;
                }
            }
        }
        Ok(())
    }

    fn conduct(&self, event: &Value) -> Conduct {
        let [id, kind, subject] = ["id", "type", "subject"].map(|name| text(&event[name]));
        let times = {
            let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            let times = received.entry(id.to_owned()).or_default();
            *times += 1;
            *times
        };
        let mut rng = self.random(&[subject, kind, &times.to_string()]);
        let one_of = |rng: &mut Rng, statuses: &[u16]| statuses[rng.usize(0..statuses.len())];
        if self.refuses(subject) {
            return Conduct::Declines(one_of(&mut rng, &[400, 404, 410, 413, 422]));
        }
        let acts = |rng: &mut Rng, after| Conduct::Acts {
            status: one_of(rng, &[200, 201, 202, 204]),
            after,
        };
        // A further failure would make the event wait for longer than V11 allows after the last fault.
        if times > RETRIED || self.well.load(Ordering::Relaxed) {
            return acts(&mut rng, 0);
        }
        match rng.u16(0..1_000) {
            0..80 => {
                let after = rng.u64(LATE);
                acts(&mut rng, after)
            }
            80..140 => Conduct::ActsTwice,
            140..200 => Conduct::ActsAndDies,
            200..240 => Conduct::ActsAndBreaks,
            240..255 => Conduct::ActsAndHangs,
            255..305 => {
                let busy = [302, 401, 403, 408, 421, 425, 429, 502, 503, 504];
                Conduct::Declines(one_of(&mut rng, &busy))
            }
            305..375 => Conduct::Declines(one_of(&mut rng, &[500, 501])),
            // Until the operator has it retried.
            375..440 => Conduct::Declines(one_of(&mut rng, &[400, 404, 409, 410, 422])),
            440..480 => Conduct::Dies,
            480..495 => Conduct::Hangs,
            _ => acts(&mut rng, 0),
        }
    }

    /// Decides about these, in this run.
    fn random(&self, about: &[&str]) -> Rng {
        let mut hasher = DefaultHasher::new();
        (self.seed, about).hash(&mut hasher);
        Rng::with_seed(hasher.finish())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The next request of a connection: its `webhook-id`, and the event.
async fn request(sender: &mut TcpStream) -> std::io::Result<Option<(String, Value)>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        if sender.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let lines = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let header = |name: &str| {
        let mut headers = lines.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let length = header("content-length").and_then(|(_, length)| length.parse().ok());
    let mut body = bytes.split_off(head);
    while body.len() < length.unwrap_or_default() {
        if sender.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let id = header("webhook-id").map(|(_, id)| id.to_owned());
    let event = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some((id.unwrap_or_default(), event)))
}

fn answer_of(status: u16) -> String {
    let length = match status {
        204 => "",
        _ => "content-length: 0\r\n",
    };
    let more = match status {
        302 => "location: /elsewhere\r\n",
        429 | 503 => "retry-after: 1\r\n",
        _ => "",
    };
    format!("HTTP/1.1 {status} As decided\r\n{length}{more}\r\n")
}
