//! What each kind of resource answers, by the rules of `REDbot`, which knows HTTP better than any test of ours: at the service
//! itself, and behind the proxy.

use std::collections::BTreeSet;
use std::path::Path;

use harness::programs::{available, succeed, tool};
use harness::{Backend, load, until};
use serde_json::{Value, json};

use crate::site::Site;

/// A finding that is none, where it is none, and why.
struct Explained {
    note: &'static str,
    /// Beginnings of paths.
    of: &'static [&'static str],
    because: &'static str,
}

const EXPLAINED: &[Explained] = &[
    Explained {
        note: "STATUS_BAD_REQUEST",
        of: &["order/feed?nonsense", "order/feed?after=x", "order/orders"],
        because: "these requests are wrong on purpose",
    },
    Explained {
        note: "VARY_COMPLEX",
        of: &["order/feed"],
        because: "the head has several forms and codings, and readers who wait or take deltas get other answers",
    },
    Explained {
        note: "CC_CONFLICTING",
        of: &["order/feed"],
        because: "`private` beside `no-store`: a cache that knows one of both keeps no data of persons",
    },
    Explained {
        note: "FRESHNESS_NO_CACHE_NO_VALIDATOR",
        of: &["order/feed/EPOCH/batch", "order/events/"],
        because: "a consumer reads data once, and has no use for a tag",
    },
    Explained {
        note: "FRESHNESS_NO_CACHE_NO_VALIDATOR",
        of: &[
            "order/form.html",
            "order/customers/new",
            "order/items/new",
            "order/order/2/cancel",
        ],
        because: "a form is new each time; a browser that goes back has it still, as `no-store` would forbid",
    },
];

/// A request, and the status that it gets.
struct Request {
    method: &'static str,
    /// Below the service's name; with names for what is known when the service runs.
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    content: String,
    status: u16,
}

const NAMES: [&str; 3] = ["order", "invoice", "shipping"];

const HTML: &[(&str, &str)] = &[("Accept", "text/html")];
const JSON: &[(&str, &str)] = &[("Accept", "application/json")];
const IN_JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const DATA: &[(&str, &str)] = &[("Prefer", "event-data")];
const WAIT: &[(&str, &str)] = &[("Prefer", "wait=0"), ("A-IM", "feed")];

fn get(path: &'static str, headers: &'static [(&str, &str)], status: u16) -> Request {
    Request {
        method: "GET",
        path,
        headers,
        content: String::new(),
        status,
    }
}

/// All kinds of resources of the three services.
fn everywhere() -> Vec<Request> {
    let mut all = vec![
        // The feed.
        get("order/feed", &[], 200),
        get("order/feed", HTML, 200),
        get("order/feed", &[("Accept", "application/atom+json")], 200),
        get(
            "order/feed",
            &[("Accept", "application/cloudevents-batch+json")],
            200,
        ),
        get("order/feed", DATA, 200),
        get("order/feed", WAIT, 200),
        get("order/feed.atom", &[], 200),
        get("order/feed/EPOCH/1", &[], 200),
        get("order/feed/EPOCH/1", HTML, 200),
        get("order/feed/EPOCH/2", &[], 200),
        get("order/feed/EPOCH/2", HTML, 200),
        get("order/feed/EPOCH/3", &[], 404),
        get("order/feed/EPOCH/3", HTML, 404),
        get("order/feed/zzzzzzzz/1", &[], 404),
        get("order/feed?type=order.placed", &[], 200),
        get("order/feed?subject=order/1", HTML, 200),
        get("order/feed?after=start", &[], 303),
        get("order/feed?after=start", DATA, 200),
        get("order/feed?after=CURSOR", &[], 200),
        get("order/feed?after=CURSOR", &[("Prefer", "wait=0")], 200),
        get("order/feed?after=zzzzzzzz.0.0", &[], 410),
        get("order/feed?after=x", &[], 400),
        get("order/feed?nonsense=1", HTML, 400),
        get("order/feed/EPOCH/batch/1-100", &[], 200),
        get("order/events/EVENT", &[], 200),
        get(
            "order/events/EVENT",
            &[("Accept", "application/cloudevents+json")],
            200,
        ),
        get("order/events/EVENT", &[("Accept", "image/png")], 406),
        get("order/events/x", &[], 404),
        get("order/feed/schemas/order.placed", &[], 200),
        get("order/feed/stream", &[], 200),
        get("order/feed/stream?offset=now", &[], 200),
        get("order/feed/status", HTML, 200),
        get("order/feed/status", JSON, 200),
    ];
    // What people see, and programs as JSON.
    for path in [
        "order/",
        "order/order/1",
        "order/customers",
        "order/customers/1",
        "order/items",
        "order/items/1",
        "invoice/",
        "invoice/1",
        "invoice/1/credit-note",
        "invoice/status",
        "invoice/status/events",
        "invoice/status/parked",
        "invoice/status/skipped",
        "invoice/status/decisions",
        "shipping/",
        "shipping/1",
        "shipping/status",
    ] {
        all.extend([get(path, HTML, 200), get(path, JSON, 200)]);
    }
    for path in [
        "order/form.html",
        "order/customers/new",
        "order/items/new",
        "order/order/2/cancel",
    ] {
        all.push(get(path, HTML, 200));
    }
    for path in [
        "order/openapi.json",
        "order/asyncapi.json",
        "invoice/openapi.json",
        "shipping/openapi.json",
        "order/style.css",
        "order/icon.svg",
        "order/locale.js",
        "order/form.js",
        "order/order.js",
        "invoice/print.js",
    ] {
        all.push(get(path, &[], 200));
    }
    // Problems.
    for path in [
        "order/nothing",
        "order/order/999999",
        "invoice/999999",
        "invoice/2/credit-note",
    ] {
        all.extend([get(path, HTML, 404), get(path, JSON, 404)]);
    }
    all.push(get("order/order/1", &[("Accept", "image/png")], 406));
    let head = |path| Request {
        method: "HEAD",
        ..get(path, &[], 200)
    };
    for path in [
        "order/feed",
        "order/feed/EPOCH/1",
        "order/feed/stream",
        "order/events/EVENT",
        "order/",
        "order/style.css",
    ] {
        all.push(head(path));
    }
    let send = |method, path, headers, content: &str, status| Request {
        method,
        content: content.to_owned(),
        ..get(path, headers, status)
    };
    all.extend([
        send("OPTIONS", "order/feed", &[], "", 204),
        send("DELETE", "order/feed", &[], "", 405),
        send("PUT", "order/order/1", IN_JSON, "{}", 405),
        send("POST", "order/orders", IN_JSON, "{", 400),
        send("POST", "order/orders", IN_JSON, "{}", 422),
        send(
            "POST",
            "order/orders",
            &[("Content-Type", "text/plain")],
            "x",
            415,
        ),
        send(
            "POST",
            "order/orders",
            IN_JSON,
            &"x".repeat(1024 * 1024 + 1),
            413,
        ),
    ]);
    all
}

/// What a service answers to the inside alone.
fn inside() -> Vec<Request> {
    vec![
        get("order/metrics", &[], 200),
        get("order/health/live", &[], 200),
        get("order/health/ready", &[], 200),
        get("invoice/metrics", &[], 200),
    ]
}

/// What the proxy answers by itself.
fn by_the_proxy() -> Vec<Request> {
    vec![
        get("", &[], 200),
        get("start.js", &[], 200),
        get("health/live", &[], 200),
        get("order", &[], 308),
        get("order/metrics", &[], 404),
        get("nothing", &[], 404),
    ]
}

/// Lets `REDbot` send these requests; returns what it finds that is not explained, and adds to `used` what is.
async fn examine(
    requests: &[Request],
    url: impl Fn(&str) -> String,
    used: &mut BTreeSet<&str>,
) -> BTreeSet<String> {
    let lines = requests.iter().map(|request| {
        let headers: Value = request.headers.iter().copied().collect();
        let request = json!({
            "method": request.method,
            "url": url(request.path),
            "headers": headers,
            "content": request.content,
        });
        format!("{request}\n")
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let mut python = tool("python3").unwrap();
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examine.py"));
    python.arg(file);
    let output = succeed(python).await;
    let (mut answered, mut found) = (0, BTreeSet::new());
    for line in output.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = usize::try_from(line[0].as_u64().unwrap()).unwrap();
        let request = &requests[number];
        let what = format!(
            "{} {} {:?}",
            request.method,
            url(request.path),
            request.headers
        );
        if let Some(status) = line[1].as_u64() {
            answered += 1;
            if status != u64::from(request.status) {
                found.insert(format!("{what}: {status} in place of {}", request.status));
            }
            continue;
        }
        let [level, note, text] = [1, 2, 3].map(|field| line[field].as_str().unwrap());
        if !["bad", "warning"].contains(&level) {
            continue;
        }
        let explained = EXPLAINED.iter().find(|each| {
            let mut of = each.of.iter();
            each.note == note && of.any(|path| request.path.starts_with(path))
        });
        match explained {
            Some(explained) => used.insert(explained.because),
            None => found.insert(format!("{what}: {note}, {text}")),
        };
    }
    assert_eq!(answered, requests.len(), "{output}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redbot_finds_nothing_that_is_not_explained() {
    if !available(&["nginx"]) || tool("redbot").is_none() {
        return;
    }
    let site = Site::open().await;
    let order = site.started(NAMES[0], Backend::Sqlite).await;
    let feed = order.service.client.url("feed");
    let mut services = vec![order];
    for name in &NAMES[1..] {
        let mut follower = site.service(name, Backend::Sqlite).await;
        follower.service.set("FEED_URL", feed.clone());
        site.start_up(&mut follower).await;
        services.push(follower);
    }
    let order = &services[0].service.client;
    // The first is cancelled, the second is not.
    for id in 1..=2 {
        load::place(order, id).await.unwrap();
    }
    load::cancel(order, 1).await;
    load::place_many(order, 210).await;
    let head = until("the head has a date", async || {
        let head = order.get("feed", &[]).await;
        head.headers.contains_key("last-modified").then_some(head)
    })
    .await;
    for follower in &services[1..] {
        until("both orders have arrived", async || {
            let first = follower.service.client.json("1").await?;
            let is_cancelled = first["status"] != "issued" && first["status"] != "pending";
            is_cancelled.then_some(())?;
            follower.service.client.json("2").await
        })
        .await;
    }
    let cursor = head.elements("event:cursor").remove(0);
    let event = head.elements("id").remove(1);
    let fill = |path: &str| {
        path.replace("EPOCH", cursor.split('.').next().unwrap())
            .replace("CURSOR", &cursor)
            .replace("EVENT", event.trim_start_matches("urn:uuid:"))
    };
    let alone = |path: &str| {
        let (name, path) = path.split_once('/').unwrap();
        let index = NAMES.iter().position(|each| *each == name).unwrap();
        services[index].service.client.url(&fill(path))
    };
    let behind = |path: &str| site.client.url(&fill(path));

    let mut used = BTreeSet::new();
    let mut found = examine(&everywhere(), alone, &mut used).await;
    found.extend(examine(&inside(), alone, &mut used).await);
    found.extend(examine(&everywhere(), behind, &mut used).await);
    found.extend(examine(&by_the_proxy(), behind, &mut used).await);
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    for explained in EXPLAINED {
        assert!(
            used.contains(explained.because),
            "it is not found: {}",
            explained.because
        );
    }
}
