//! The consumers among the examples while the feed refuses: they wait as long as it asks, and ask less and less often.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use harness::{Backend, Process, serve as listen, until};

use crate::examples::{Language, go, java, javascript, python, url_of};
use crate::feed::database;

/// What the feed asks for at first.
const ASKED: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_example_waits_as_the_feed_asks() {
    for language in [python(), javascript(), java(), go()].into_iter().flatten() {
        waits(&language).await;
    }
}

async fn waits(language: &Language) {
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let refuse = {
        let asked = asked.clone();
        move || {
            let mut asked = asked.lock().unwrap();
            asked.push(Instant::now());
            std::future::ready(refused(asked.len()))
        }
    };
    let address = listen(Router::new().route("/feed", get(refuse))).await;
    let bills = database(Backend::Postgres).await;
    let pooler = language.pooler(&bills).await;
    let (log, feed) = (tempfile::tempdir().unwrap(), format!("{address}/feed"));
    let url = url_of(&bills, pooler.as_ref());
    let settings = [("DATABASE_URL", url.as_str()), ("FEED_URL", feed.as_str())];
    let mut program = (language.program)("consumer");
    let consumer = Process::start_command("consumer", &mut program, &settings, log.path());
    until("it has asked five times", async || {
        (asked.lock().unwrap().len() >= 5).then_some(())
    })
    .await;
    let asked = asked.lock().unwrap().clone();
    let pauses: Vec<Duration> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    let (name, said) = (language.directory, consumer.log());
    assert!(pauses[0].as_secs() >= ASKED, "{name}: {pauses:?} {said}");
    // Wrong credentials are not tried each second.
    assert!(
        pauses[3] > pauses[2] && pauses[3].as_secs() >= 3,
        "{name}: {pauses:?} {said}"
    );
    assert!(said.contains("401"), "{name}: {said}");
}

fn refused(times: usize) -> Response {
    match times {
        1 => {
            let asks = [("retry-after", ASKED.to_string())];
            (StatusCode::SERVICE_UNAVAILABLE, asks).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}
