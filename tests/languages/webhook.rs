//! `feed deliver --to`, with a webhook that answers what a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use harness::fake::{Atom, Entry};
use harness::{Backend, FreshDatabase, serve as listen, until};
use serde_json::Value;

use crate::feed::{Running, database, publish, run, serve};

harness::on_both_backends! {
    each_event_is_sent_signed_and_in_sequence
    a_webhook_that_is_down_loses_and_parks_nothing
    an_event_that_the_webhook_refuses_is_parked
    a_webhook_that_is_busy_now_and_then_gets_a_backlog
}

/// The secret of the Standard Webhooks specification's example.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that the webhook has got.
#[derive(Debug, Clone)]
struct Got {
    headers: HeaderMap,
    body: String,
    at: Instant,
}

impl Got {
    fn subject(&self) -> String {
        let event: Value = serde_json::from_str(&self.body).unwrap();
        event["subject"].as_str().unwrap().to_owned()
    }
}

/// A webhook.
#[derive(Debug, Clone, Default)]
struct Hook {
    got: Arc<Mutex<Vec<Got>>>,
    /// Statuses in place of 204, by subject; that of `*` is for all, that of `/4` for each fourth request.
    answers: Arc<Mutex<BTreeMap<String, u16>>>,
}

impl Hook {
    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn subjects(&self) -> Vec<String> {
        self.got().iter().map(Got::subject).collect()
    }

    fn answer(&self, subject: &str, status: Option<u16>) {
        let mut answers = self.answers.lock().unwrap();
        match status {
            Some(status) => answers.insert(subject.to_owned(), status),
            None => answers.remove(subject),
        };
    }
}

async fn take(State(hook): State<Hook>, headers: HeaderMap, body: String) -> Response {
    let got = Got {
        headers,
        body,
        at: Instant::now(),
    };
    let subject = got.subject();
    let fourth = {
        let mut all = hook.got.lock().unwrap();
        all.push(got);
        all.len().is_multiple_of(4)
    };
    let answers = hook.answers.lock().unwrap();
    let status = answers.get("*").or_else(|| answers.get(&subject));
    let status = status.or_else(|| answers.get("/4").filter(|_| fourth));
    match status {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(status) => {
            let status = StatusCode::from_u16(*status).unwrap();
            (status, [("retry-after", "1")]).into_response()
        }
    }
}

/// A shop, its feed, and who sends its events to a webhook.
struct Shop {
    orders: FreshDatabase,
    _feed: Running,
    hook: Hook,
    deliver: Running,
    /// With the databases that the processes use, and so dropped last.
    own: FreshDatabase,
    _secret: tempfile::TempDir,
}

impl Shop {
    async fn open(backend: Backend) -> Self {
        let (orders, own) = (database(backend).await, database(backend).await);
        let feed = serve(&orders).await;
        let hook = Hook::default();
        let router = Router::new()
            .route("/hook", post(take))
            .with_state(hook.clone());
        let address = listen(router).await;
        let secret = tempfile::tempdir().unwrap();
        let file = secret.path().join("secret");
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        let deliver = Running::start(&[
            "deliver",
            "--feed-url",
            &feed.client.url("feed"),
            "--database-url",
            own.url(),
            "--to",
            &format!("{address}/hook"),
            "--secret-file",
            file.to_str().unwrap(),
        ])
        .await;
        Self {
            orders,
            _feed: feed,
            hook,
            deliver,
            own,
            _secret: secret,
        }
    }

    async fn place(&self, order: u32) {
        publish(
            &self.orders,
            &format!("order/{order}"),
            &format!("{{\"id\": {order}}}"),
        )
        .await;
    }

    async fn sent(&self, subjects: &[&str]) {
        until("these are sent", async || {
            (self.hook.subjects() == subjects).then_some(())
        })
        .await;
    }

    async fn parked(&self) -> i64 {
        let status = self.deliver.client.json("status").await.unwrap();
        status["parked"].as_i64().unwrap()
    }
}

/// It could not tell who sends an event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_without_a_secret_is_warned_of() {
    let said = "requests to the webhook are not signed";
    let shop = Shop::open(Backend::Sqlite).await;
    assert!(!shop.deliver.process.log().contains(said));
    let own = database(Backend::Sqlite).await;
    let hook = [
        "deliver",
        "--to",
        "http://127.0.0.1:9/hook",
        "--database-url",
    ];
    let deliver = Running::start(&[&hook[..], &[own.url()]].concat()).await;
    let log = deliver.process.log();
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

async fn each_event_is_sent_signed_and_in_sequence(backend: Backend) {
    let mut shop = Shop::open(backend).await;
    for order in 1..=3 {
        shop.place(order).await;
    }
    shop.sent(&["order/1", "order/2", "order/3"]).await;
    for got in shop.hook.got() {
        let header = |name: &str| got.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/cloudevents+json");
        let secret = standardwebhooks::Webhook::new(SECRET).unwrap();
        secret.verify(got.body.as_bytes(), &got.headers).unwrap();
        let event: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(event["id"], header("webhook-id"));
        assert_eq!(event["specversion"], "1.0");
        assert!(event["source"].as_str().unwrap().ends_with("/feed"));
        // As the feed's own CloudEvents have it.
        assert_eq!(event["datacontenttype"], "application/json");
        let sequence: i64 = event["sequence"].as_str().unwrap().parse().unwrap();
        assert!((1..=3).contains(&sequence), "{event}");
    }
    // What was delivered does not come again.
    shop.deliver.process.kill();
    shop.deliver.restart().await;
    shop.place(4).await;
    until("the new one is sent", async || {
        (shop.hook.subjects().last()? == "order/4").then_some(())
    })
    .await;
    let again = shop.hook.subjects().len() - 4;
    assert!(
        again <= 1,
        "at most the last one comes again: {:?}",
        shop.hook.subjects()
    );
}

async fn a_webhook_that_is_down_loses_and_parks_nothing(backend: Backend) {
    let shop = Shop::open(backend).await;
    shop.hook.answer("*", Some(503));
    for order in 1..=3 {
        shop.place(order).await;
    }
    until("it was tried some times", async || {
        (shop.hook.got().len() >= 3).then_some(())
    })
    .await;
    assert_eq!(shop.parked().await, 0);
    let got = shop.hook.got();
    assert!(
        got.iter().all(|got| got.subject() == "order/1"),
        "in sequence"
    );
    let pause = got[1].at - got[0].at;
    assert!(pause.as_secs_f64() >= 1.0, "Retry-After: {pause:?}");
    let status = shop.deliver.client.json("status").await.unwrap();
    assert!(
        status["last_error"].as_str().unwrap().contains("503"),
        "{status}"
    );
    until("the command says so too", async || {
        let status = ["deliver", "--database-url", shop.own.url(), "status"];
        let (code, out, _) = run(&status).await;
        (code == 1 && out.contains("503")).then_some(())
    })
    .await;
    shop.hook.answer("*", None);
    until("all are sent", async || {
        let sent = shop.hook.subjects();
        sent.ends_with(&["order/1".into(), "order/2".into(), "order/3".into()])
            .then_some(())
    })
    .await;
    assert_eq!(shop.parked().await, 0);
}

async fn an_event_that_the_webhook_refuses_is_parked(backend: Backend) {
    let shop = Shop::open(backend).await;
    shop.hook.answer("order/2", Some(422));
    shop.hook.answer("order/3", Some(500));
    for order in 1..=4 {
        shop.place(order).await;
    }
    until("two are parked, and the others are sent", async || {
        let sent = shop.hook.subjects();
        (shop.parked().await >= 1 && sent.contains(&"order/4".to_owned())).then_some(())
    })
    .await;
    shop.hook.answer("order/3", None);
    until("one of them was sent later", async || {
        (shop.parked().await == 1).then_some(())
    })
    .await;
    let parked = [("accept", "application/json")];
    let parked = shop.deliver.client.get("status/parked", &parked).await;
    assert!(parked.body.contains("422"), "{}", parked.body);
}

/// Each pause is that of a first failure, as long as events are delivered between two of them.
async fn a_webhook_that_is_busy_now_and_then_gets_a_backlog(backend: Backend) {
    let shop = Shop::open(backend).await;
    shop.hook.answer("/4", Some(429));
    for order in 1..=40 {
        shop.place(order).await;
    }
    until("all are sent", async || {
        let sent: BTreeSet<String> = shop.hook.subjects().into_iter().collect();
        (sent.len() == 40).then_some(())
    })
    .await;
    let got = shop.hook.got();
    let longest = got
        .windows(2)
        .map(|two| two[1].at - two[0].at)
        .max()
        .unwrap();
    assert!(longest.as_secs_f64() < 8.0, "the pauses grow: {longest:?}");
}

/// Such an id comes from a feed of others alone. It is not retried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_id_no_header_can_have_is_parked_at_once() {
    let own = database(Backend::Sqlite).await;
    let atom = {
        let [bad, good] = ["urn:x:\u{7f}1", "urn:x:2"]
            .map(|id| Entry::new(id, "2026-01-01T00:00:00Z").text("{}"));
        Atom::foreign([good, bad]).xml()
    };
    let headers = [(CONTENT_TYPE, "application/atom+xml")];
    let router = Router::new().route("/feed", get(async move || (headers, atom)));
    let feed = listen(router).await + "/feed";
    let hook = Hook::default();
    let router = Router::new()
        .route("/hook", post(take))
        .with_state(hook.clone());
    let to = listen(router).await + "/hook";
    let arguments = [
        "deliver",
        "--feed-url",
        &feed,
        "--database-url",
        own.url(),
        "--to",
        &to,
    ];
    let deliver = Running::start(&arguments).await;
    until("one is parked, and the other one sent", async || {
        let status = deliver.client.json("status").await?;
        (status["parked"] == 1 && hook.got().len() == 1).then_some(())
    })
    .await;
    let json = [("accept", "application/json")];
    let parked = deliver.client.get("status/parked", &json).await;
    assert!(
        parked
            .body
            .contains("its id has characters that the header webhook-id cannot have"),
        "{}",
        parked.body
    );
}
