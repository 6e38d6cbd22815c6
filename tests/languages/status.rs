//! `feed status`: consumers in a table, and as an exit code for scripts.

use std::time::Duration;

use axum::Router;
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use harness::{Backend, serve as listen, until};
use serde_json::{Value, json};

use crate::feed::{Running, database, publish, run, serve};

harness::on_both_backends! {
    several_consumers_are_shown_with_an_exit_code
}

/// The JSON of these consumers.
async fn states(urls: &[&str], code: i32) -> Vec<Value> {
    let arguments = [&["status", "--json", "--timeout", "2s"], urls].concat();
    let (ended, out, err) = run(&arguments).await;
    assert_eq!((ended, err.as_str()), (code, ""), "{out}");
    serde_json::from_str(&out).unwrap()
}

async fn several_consumers_are_shown_with_an_exit_code(backend: Backend) {
    let orders = database(backend).await;
    let feed = serve(&orders).await;
    let directory = tempfile::tempdir().unwrap();
    let sql = directory.path().join("on_event.sql");
    std::fs::write(&sql, "INSERT INTO bill (text) VALUES (:text)").unwrap();
    let sql = sql.display().to_string();
    let follow = feed.client.url("feed");
    let mut consumers = Vec::new();
    for check in ["", "CHECK (length(text) < 5)"] {
        let bills = database(backend).await;
        let table = format!("CREATE TABLE bill (text TEXT {check})");
        bills.execute(&table).await;
        let arguments = [
            "deliver",
            "--feed-url",
            &follow,
            "--database-url",
            bills.url(),
            "--sql",
            &sql,
        ];
        consumers.push((Running::start(&arguments).await, bills));
    }
    let [one, another] = [0, 1].map(|index: usize| consumers[index].0.client.url(""));
    // The address of a consumer, and that of its status.
    let urls = [one.as_str(), &format!("{another}status")];
    publish(&orders, "order/1", "{}").await;
    until("both are level", async || {
        let states = states_of(&urls).await;
        let is_level = |state: &Value| state["state"] == "well" && state["sequence"] == 1;
        states.iter().all(is_level).then_some(())
    })
    .await;
    let (code, out, err) = run(&[&["status"], &urls[..]].concat()).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines[0].starts_with("Consumer "), "{out}");
    assert!(lines[1].starts_with(one.trim_end_matches('/')), "{out}");
    for line in &lines[1..] {
        assert!(
            line.contains("  well  ") && line.contains("1 of 1"),
            "{line}"
        );
    }

    // One has a parked event; the command `status` of that consumer ends with the same code.
    publish(&orders, "order/2", "{\"id\": 2}").await;
    until("the event is parked", async || {
        let states = states_of(&urls).await;
        (states[0]["sequence"] == 2 && states[1]["state"] == "parked").then_some(())
    })
    .await;
    let (code, out, _) = run(&[&["status"], &urls[..]].concat()).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.lines().nth(2).unwrap().contains("1 parked"), "{out}");
    for (consumer, expected) in [(0, 0), (1, 1)] {
        let url = consumers[consumer].1.url().to_owned();
        let (code, out, _) = run(&["deliver", "--database-url", &url, "status"]).await;
        assert_eq!(code, expected, "{out}");
    }

    // One is away.
    consumers[0].0.process.kill();
    let states = states(&urls, 1).await;
    assert_eq!(states[0]["state"], "unreachable");
    assert_eq!(states[0]["sequence"], Value::Null);
    assert_eq!(states[1]["state"], "parked");
}

async fn states_of(urls: &[&str]) -> Vec<Value> {
    let (_, out, _) = run(&[&["status", "--json"], urls].concat()).await;
    serde_json::from_str(&out).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_does_harm() {
    let hostile = json!({"sequence": 1, "head": 1, "halted": "\u{1b}[2J\u{9b}31m\r\n\u{202e}"});
    let paused = json!({"sequence": 1, "head": 1, "instances": 1, "moon": "full",
                        "paused": {"by": "eve", "reason": "the audit", "at": "2026-01-31T00:00:00Z"}});
    let router = Router::new()
        .route("/hostile/status", get(async move || hostile.to_string()))
        .route("/paused/status", get(async move || paused.to_string()))
        .route("/other/status", get(async || "<html>"))
        .route("/huge/status", get(async || " ".repeat(5_000_000)))
        .route(
            "/slow/status",
            get(async || tokio::time::sleep(Duration::from_secs(600)).await),
        )
        .route(
            "/moved/status",
            get(async || Redirect::to("http://127.0.0.1:9/status")),
        )
        .route("/unchanged/status", get(async || StatusCode::NOT_MODIFIED))
        .route(
            "/failing/status",
            get(async || StatusCode::SERVICE_UNAVAILABLE),
        )
        .route(
            "/location/status",
            get(async || (StatusCode::FOUND, [(LOCATION, "/paused/status")])),
        );
    let base = listen(router).await;
    let names = [
        "hostile",
        "paused",
        "other",
        "huge",
        "slow",
        "moved",
        "failing",
        "location",
        "none",
        "unchanged",
    ];
    let urls: Vec<String> = names.iter().map(|name| format!("{base}/{name}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let states = states(&urls, 1).await;
    for (state, (expected, why)) in states.iter().zip([
        ("halted", ""),
        ("paused", ""),
        ("unknown", "something else than a consumer's status"),
        ("unknown", "larger"),
        ("unreachable", "no complete answer within 2s"),
        ("unknown", "it redirects to"),
        ("unknown", "503"),
        (
            "unknown",
            "it redirects to /paused/status: give that address",
        ),
        ("unknown", "404"),
        ("unknown", "it answers 304 Not Modified"),
    ]) {
        assert_eq!(state["state"], expected, "{state}");
        let said = state["why"].as_str().unwrap_or_default();
        assert!(said.contains(why), "{state}");
    }
    let (code, out, err) = run(&[&["status", "--timeout", "2s"], &urls[..]].concat()).await;
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out:?}");
    assert!(!out.contains('\u{202e}'), "{out:?}");
    assert!(out.contains("paused by eve: the audit"), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_shown_to_the_consumers_and_to_nobody_else() {
    let protected = async |headers: HeaderMap| {
        let shown = headers
            .get(AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned());
        match shown.as_deref() {
            // eve:secret, and bob:hidden
            Some("Basic ZXZlOnNlY3JldA==" | "Basic Ym9iOmhpZGRlbg==") => {
                Ok(json!({"sequence": 1, "head": 1}).to_string())
            }
            _ => Err(StatusCode::UNAUTHORIZED),
        }
    };
    let base = listen(Router::new().route("/status", get(protected))).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    std::fs::write(&file, "operate eve:secret\n").unwrap();
    let file = file.display().to_string();
    let own = base.replace("http://", "http://bob:hidden@");
    let wrong = base.replace("http://", "http://bob:wrong@");
    for (arguments, expected) in [
        (&[base.as_str()][..], 1),
        (&[&base, "--status-credentials-file", &file], 0),
        (&[&own], 0),
        // It has its own, right or wrong.
        (&[&own, "--status-credentials-file", &file], 0),
        (&[&wrong, "--status-credentials-file", &file], 1),
        (&[&base, "--status-credentials-file", "/nonexistent"], 2),
        (&["nonsense"], 2),
        (&[], 2),
    ] {
        let (code, out, err) = run(&[&["status"], arguments].concat()).await;
        assert_eq!(code, expected, "{arguments:?} {out} {err}");
        for secret in ["secret", "hidden", "bob"] {
            assert!(!format!("{out}{err}").contains(secret), "{out}{err}");
        }
        if expected == 1 {
            assert!(out.contains("--status-credentials-file"), "{out}");
        }
    }
}
