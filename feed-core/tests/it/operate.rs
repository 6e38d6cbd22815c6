//! What a person sees and mends: parked events, a halt, a replay, a comparison; by the handle and
//! by the routes below `/status`.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use feed_core::consumer::{self, DecideError, Decision, Difference, From, Handle, Reconcile};
use feed_core::service::html::Frame;
use feed_core::service::{health, not_halted};
use feed_core::{Database, Received};
use harness::{Answer, call};
use serde_json::{Value, json};
use sqlx::{Pool, Sqlite};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, until, urns,
};

harness::on_both_databases! {
    a_retry_applies_the_events_of_a_subject_in_sequence
    a_skip_is_recorded_and_the_later_events_go_on
    what_waits_cannot_be_decided_about
    a_halted_subscription_is_resumed_from_the_start
    a_halted_subscription_is_resumed_from_now
    a_halted_subscription_is_resumed_where_it_is
    a_replay_rebuilds_what_is_missing
    decisions_that_do_not_fit_are_refused
    what_is_wrong_with_a_form_is_named
    other_sites_are_refused
    lists_are_bounded_and_come_in_both_forms
    a_comparison_runs_in_the_background
}

/// A consumer that runs, its handle and its routes, and the feed it follows.
struct Site<B: Testable> {
    publisher: Publisher<Sqlite>,
    _source: harness::FreshDatabase,
    database: Database<B>,
    effect: Recorder,
    handle: Handle<B>,
    router: Router,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl<B: Testable> Drop for Site<B> {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Finds a difference in order/3, if there is such an event.
#[derive(Debug, Default)]
struct Ledger(bool);

impl<B: Testable> Reconcile<B> for Ledger {
    fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String> {
        self.0 |= settled && event.subject == "order/3";
        Ok(())
    }

    async fn compare(self, _: &Pool<B>) -> sqlx::Result<Vec<Difference>> {
        let difference = Difference {
            id: "order/3".to_owned(),
            what: "there is no <effect>".to_owned(),
        };
        Ok(self.0.then_some(difference).into_iter().collect())
    }
}

impl<B: Testable> Site<B> {
    /// A site on a feed with `count` events, which has taken all of them.
    async fn new(url: &str, count: i64, effect: Recorder) -> Self {
        let source = harness::FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        publisher.publish(count).await;
        let database = consumer_database::<B>(url).await;
        Self::on(source, publisher, database, effect).await
    }

    async fn on(
        source: harness::FreshDatabase,
        publisher: Publisher<Sqlite>,
        database: Database<B>,
        effect: Recorder,
    ) -> Self {
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let consumer = consumer(&database, &feed, effect.clone()).await;
        let handle = consumer.handle();
        let frame = Frame {
            base: "https://shop.example/invoice/".parse().unwrap(),
            home: None,
            service: "Test",
            menu: &[],
            feed: None,
        };
        let ready = |handle: Handle<B>| async move { not_halted(&handle).await };
        let router = Router::new()
            .merge(health(ready))
            .with_state(handle.clone())
            .merge(consumer::router::<B, Ledger>(handle.clone(), frame));
        let site = Self {
            publisher,
            _source: source,
            database,
            effect,
            handle,
            router,
            shutdown: consumer.shutdown(),
            running: tokio::spawn(consumer.run()),
        };
        site.settled().await;
        site
    }

    /// Waits until all is taken, or it is halted.
    async fn settled(&self) {
        let newest = self.publisher.feed.cursor().sequence;
        until("all is taken", async || {
            let status = self.handle.status().await.unwrap();
            status.halted.is_some() || status.sequence >= newest && status.epoch.is_some()
        })
        .await;
    }

    /// The same consumer after its feed has become another one, with `count` events.
    async fn with_another_feed(url: &str, count: i64) -> (Self, Vec<String>) {
        let first = Self::new(url, 5, Recorder::default()).await;
        let database = first.database.clone();
        let known = effects(&database).await;
        first.shutdown.cancel();
        until("it has stopped", async || first.running.is_finished()).await;
        let source = harness::FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        publisher.publish(count).await;
        let site = Self::on(source, publisher, database, Recorder::default()).await;
        until("it is halted", async || {
            site.handle.status().await.unwrap().halted.is_some()
        })
        .await;
        (site, known)
    }

    async fn get(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path)
            .header("accept", accept)
            .body(Body::empty());
        call(&self.router, request.unwrap()).await
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path, "application/json").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path, "text/html").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// What a browser sends when a button is pressed.
    async fn press(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(path, fields, &[("accept", "text/html")]).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(fields).finish();
        let mut request = Request::post(path)
            .header("host", "shop.example")
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        call(&self.router, request.body(Body::from(body)).unwrap()).await
    }

    /// Waits until the newest decision is carried out; returns its outcome.
    async fn carried_out(&self) -> String {
        let mut outcome = None;
        until("the decision is carried out", async || {
            let newest = self.handle.decisions(1).await.unwrap().pop().unwrap();
            outcome = newest.outcome;
            outcome.is_some()
        })
        .await;
        outcome.unwrap()
    }
}

fn assert_back_to_status(answer: &Answer) {
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), "../status");
}

async fn a_retry_applies_the_events_of_a_subject_in_sequence<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 30, recorder).await;
    let parked = site.handle.parked(100).await.unwrap();
    let [first, second, third] = parked.as_slice() else {
        panic!("{parked:?}")
    };
    let page = site.page("/status").await;
    for shown in [
        "no such customer",
        &first.id,
        "2 later events wait for it",
        "Retry",
        "Skip",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // It fails again, as long as the cause is not mended.
    let fields = [("event", first.id.as_str()), ("by", "eve")];
    assert_back_to_status(&site.press("/status/retry", &fields).await);
    until("it was tried again", async || {
        site.handle.parked(1).await.unwrap()[0].attempts == 2
    })
    .await;
    site.effect.mend();
    let accept = [("accept", "application/json")];
    let answer = site.post("/status/retry", &[("by", "eve")], &accept).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"retried": 1})));
    until("nothing is parked", async || {
        site.handle.status().await.unwrap().parked == 0
            && site.handle.status().await.unwrap().waiting == 0
    })
    .await;
    let subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
    let applied = B::texts(&site.database, subject).await;
    assert_eq!(
        applied,
        [&first.id, &second.id, &third.id].map(String::clone)
    );
    let decisions = site.json("/status/decisions").await;
    let of = |index: usize| {
        let decided = &decisions["decisions"][index];
        [
            &decided["decision"],
            &decided["decided_by"],
            &decided["outcome"],
        ]
        .map(Value::to_string)
    };
    assert_eq!(
        of(0),
        ["\"retry all\"", "\"eve\"", "\"1 to be tried again\""]
    );
    assert_eq!(of(1)[0], format!("\"retry {}\"", first.id));
}

async fn a_skip_is_recorded_and_the_later_events_go_on<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 30, recorder).await;
    let parked = site.handle.parked(100).await.unwrap();
    site.effect.mend();
    let id = parked[0].id.as_str();
    let fields = [("event", id), ("reason", " a <test> order "), ("by", "eve")];
    assert_back_to_status(&site.press("/status/skip", &fields).await);
    until("the later ones are applied", async || {
        site.handle.status().await.unwrap().waiting == 0
    })
    .await;
    let subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
    let applied = B::texts(&site.database, subject).await;
    assert_eq!(applied, [parked[1].id.clone(), parked[2].id.clone()]);
    // Who, when and why.
    let skipped = site.json("/status/skipped").await["skipped"][0].clone();
    assert_eq!(
        (&skipped["id"], &skipped["reason"]),
        (&json!(id), &json!("a <test> order"))
    );
    assert_eq!(skipped["skipped_by"], json!("eve"));
    assert!(skipped["skipped_at"].as_str().unwrap().ends_with('Z'));
    let taken = site.json(&format!("/status/events?event={id}")).await;
    assert_eq!(taken["events"][0]["outcome"], json!("skipped"));
    let page = site.page("/status").await;
    assert!(
        page.contains("a &lt;test&gt; order") && !page.contains("<test>"),
        "{page}"
    );
    // A second time there is nothing to skip.
    let again = site.press("/status/skip", &fields).await;
    again.assert_problem(404);
    assert!(again.body.contains(id), "{}", again.body);
}

async fn what_waits_cannot_be_decided_about<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 20, recorder).await;
    let waiting = site.handle.parked(100).await.unwrap()[1].id.clone();
    let skip = site.handle.skip(&waiting, "a test", "eve").await;
    assert!(matches!(skip, Err(DecideError::Waits(..))), "{skip:?}");
    let fields = [
        ("event", waiting.as_str()),
        ("reason", "a test"),
        ("by", "eve"),
    ];
    let without_reason = [fields[0], fields[2]];
    for (path, fields) in [
        ("/status/skip", &fields[..]),
        ("/status/retry", &without_reason[..]),
    ] {
        let answer = site.press(path, fields).await;
        answer.assert_problem(409);
        assert!(answer.body.contains("order/3"), "{}", answer.body);
    }
    // A misspelt field is no wish to retry all of them.
    let misspelt = [("evnt", waiting.as_str()), ("by", "eve")];
    let answer = site.press("/status/retry", &misspelt).await;
    answer.assert_problem(422);
    assert!(answer.body.contains("evnt"), "{}", answer.body);
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
}

async fn a_halted_subscription_is_resumed_from_the_start<B: Testable>(url: &str) {
    let (site, known) = Site::<B>::with_another_feed(url, 7).await;
    let page = site.page("/status").await;
    for shown in [
        "Halted: ",
        "another history",
        "From the start",
        "From now on",
        "Go on from here",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let ready = site.get("/health/ready", "*/*").await;
    ready.assert_problem(503);
    let detail = ready.json()["detail"].to_string();
    assert!(
        detail.contains("another history") && detail.contains("--from-start"),
        "{detail}"
    );
    assert_eq!(ready.headers.get("retry-after"), None);

    let fields = [("from", "start"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/resume", &fields).await);
    let outcome = site.carried_out().await;
    assert!(outcome.contains("from the first event"), "{outcome}");
    site.settled().await;
    assert_eq!(site.handle.status().await.unwrap().halted, None);
    assert_eq!(effects(&site.database).await.len(), known.len() + 7);
    assert_eq!(site.get("/health/ready", "*/*").await.status, 200);
}

async fn a_halted_subscription_is_resumed_from_now<B: Testable>(url: &str) {
    let (site, known) = Site::<B>::with_another_feed(url, 7).await;
    let fields = [("from", "now"), ("by", "eve")];
    let accept = [("accept", "application/json")];
    let answer = site.post("/status/resume", &fields, &accept).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.json()["decision"], json!("resume from-now"));
    site.carried_out().await;
    let new = site.publisher.publish(2).await;
    site.settled().await;
    let expected = [known, urns(&new)].concat();
    assert_eq!(effects(&site.database).await, expected);
    assert_eq!(site.json("/status").await["begins"], json!(7));
}

async fn a_halted_subscription_is_resumed_where_it_is<B: Testable>(url: &str) {
    // The feed is mended while it is halted: an alarm that was none.
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    B::run(&site.database, halt).await;
    let fields = [("from", "keep"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/resume", &fields).await);
    assert_eq!(site.carried_out().await, "goes on from where it was");
    let new = site.publisher.publish(2).await;
    site.settled().await;
    assert_eq!(effects(&site.database).await[5..], urns(&new));
}

async fn a_replay_rebuilds_what_is_missing<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 25, Recorder::default()).await;
    let before = effects(&site.database).await;
    B::run(&site.database, "DELETE FROM effect WHERE position > 7").await;
    let fields = [("from", "8"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/replay", &fields).await);
    let outcome = site.carried_out().await;
    assert!(outcome.contains("from 8 on again"), "{outcome}");
    until("all effects are there again", async || {
        effects(&site.database).await.len() == before.len()
    })
    .await;
    assert_eq!(effects(&site.database).await, before);
}

async fn decisions_that_do_not_fit_are_refused<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    for from in ["start", "now", "keep"] {
        let fields = [("from", from), ("by", "eve")];
        site.press("/status/resume", &fields)
            .await
            .assert_problem(409);
    }
    let fields = [("from", "6"), ("by", "eve")];
    site.press("/status/replay", &fields)
        .await
        .assert_problem(409);
    B::run(
        &site.database,
        "UPDATE feed_subscription SET halted = 'why'",
    )
    .await;
    let fields = [("from", "1"), ("by", "eve")];
    site.press("/status/replay", &fields)
        .await
        .assert_problem(409);
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
    // The handle takes a decision as it is; without a name it takes none.
    let nameless = site.handle.decide(Decision::Resume(From::Kept), " ").await;
    assert!(
        matches!(nameless, Err(DecideError::Missing(_))),
        "{nameless:?}"
    );
}

async fn what_is_wrong_with_a_form_is_named<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    let long = "x".repeat(1001);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        ("/status/retry", &[], &["by"]),
        (
            "/status/retry",
            &[("event", ""), ("by", " ")],
            &["event", "by"],
        ),
        ("/status/retry", &[("by", "e\0ve")], &["by"]),
        ("/status/skip", &[("event", "x")], &["reason", "by"]),
        (
            "/status/skip",
            &[("event", "x"), ("reason", &long), ("by", "eve")],
            &["reason"],
        ),
        ("/status/resume", &[("by", "eve")], &["from"]),
        (
            "/status/resume",
            &[("by", "eve"), ("from", "here")],
            &["from"],
        ),
        ("/status/replay", &[("by", "eve"), ("from", "0")], &["from"]),
        (
            "/status/replay",
            &[("by", "eve"), ("from", "1e3")],
            &["from"],
        ),
    ];
    for (path, fields, expected) in cases {
        let page = site.press(path, fields).await;
        page.assert_problem(422);
        for field in expected {
            assert!(
                page.body.contains(&format!("<li>{field}: ")),
                "{}",
                page.body
            );
        }
        let program = [("accept", "application/json")];
        let answer = site.post(path, fields, &program).await;
        answer.assert_problem(422);
        let errors = answer.json()["errors"].clone();
        let errors = errors.as_array().unwrap().iter();
        let named: Vec<&str> = errors
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, expected, "{path}: {}", answer.body);
    }
    let unknown = [("event", "urn:uuid:0"), ("by", "eve")];
    site.press("/status/retry", &unknown)
        .await
        .assert_problem(404);

    let request = |content_type: &str, body: String| {
        let request = Request::post("/status/skip").header("content-type", content_type);
        request.body(Body::from(body)).unwrap()
    };
    let json = request("application/json", "{}".to_owned());
    call(&site.router, json).await.assert_problem(415);
    let large = request("application/x-www-form-urlencoded", "x".repeat(20_000));
    call(&site.router, large).await.assert_problem(413);
    for (method, path, allow) in [
        ("POST", "/status", "GET, HEAD"),
        ("POST", "/status/events", "GET, HEAD"),
        ("GET", "/status/retry", "POST"),
        ("GET", "/status/reconcile", "POST"),
        ("DELETE", "/poll", "POST"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let answer = call(&site.router, request.body(Body::empty()).unwrap()).await;
        answer.assert_problem(405);
        assert_eq!(answer.header("allow"), allow);
    }
}

async fn other_sites_are_refused<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    for path in [
        "/poll",
        "/status/retry",
        "/status/skip",
        "/status/reconcile",
    ] {
        for headers in [
            [("sec-fetch-site", "cross-site"), ("accept", "text/html")],
            [("origin", "https://evil.example"), ("accept", "text/html")],
            [("origin", "null"), ("accept", "text/html")],
        ] {
            let answer = site.post(path, &[("by", "eve")], &headers).await;
            answer.assert_problem(403);
        }
    }
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
    for headers in [
        [
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://shop.example"),
        ],
        [("sec-fetch-site", "none"), ("accept", "text/html")],
    ] {
        let answer = site.post("/status/retry", &[("by", "eve")], &headers).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    // A link from elsewhere shows the page.
    let request = Request::get("/status").header("sec-fetch-site", "cross-site");
    assert_eq!(
        call(&site.router, request.body(Body::empty()).unwrap())
            .await
            .status,
        200
    );
}

async fn lists_are_bounded_and_come_in_both_forms<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 20, recorder).await;
    let events = site.json("/status/events?limit=7").await["events"].clone();
    let sequences = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["sequence"].as_i64());
    assert_eq!(sequences.flatten().collect::<Vec<_>>().len(), 7);
    let all = site.json("/status/events").await["events"].to_string();
    for outcome in ["applied", "parked", "waiting"] {
        assert!(
            all.contains(&format!("\"outcome\":\"{outcome}\"")),
            "{outcome}: {all}"
        );
    }
    let parked = site.json("/status/parked?limit=1").await;
    assert_eq!(parked["parked"][0]["reason"], json!("no such customer"));
    for (path, shown) in [
        ("/status/events", "waiting"),
        ("/status/parked", "no such customer"),
        ("/status/skipped", "No event was skipped"),
        ("/status/decisions", "Nothing has been decided"),
    ] {
        let page = site.page(path).await;
        assert!(page.contains(shown), "{path}: {page}");
        for limit in ["0", "1001", "-1", "many", ""] {
            let answer = site.get(&format!("{path}?limit={limit}"), "*/*").await;
            answer.assert_problem(400);
        }
        site.get(path, "image/png").await.assert_problem(406);
    }
    let nothing = site.json("/status/events?event=urn:uuid:0").await;
    assert_eq!(nothing, json!({"events": []}));
    for no_id in ["%00", "", "%20"] {
        let path = format!("/status/events?event={no_id}");
        site.get(&path, "*/*").await.assert_problem(400);
    }
}

async fn a_comparison_runs_in_the_background<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 20, Recorder::default()).await;
    assert_eq!(site.json("/status").await["reconciliation"], json!(null));
    // Nobody types anything here, so there need be no form.
    let request = Request::post("/status/reconcile")
        .body(Body::empty())
        .unwrap();
    assert_back_to_status(&call(&site.router, request).await);
    until("there is a result", async || {
        !site.json("/status").await["reconciliation"].is_null()
    })
    .await;
    let compared = site.json("/status").await["reconciliation"].clone();
    assert_eq!(
        (&compared["to"], &compared["found"]),
        (&json!(20), &json!(1))
    );
    assert_eq!(compared["differences"][0]["id"], json!("order/3"));
    let page = site.page("/status").await;
    assert!(page.contains("there is no &lt;effect&gt;"), "{page}");
}
