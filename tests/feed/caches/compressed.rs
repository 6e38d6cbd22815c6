//! Caddy compresses what we do not, and speaks HTTP/2.

use harness::programs::{available, program, succeed};
use harness::{Backend, until};

use super::proxy::Cache;
use super::raw;
use crate::publisher::{newest, place, sequences, started};

/// Not compressed, so that the tag stays: Caddy gives what it compresses another one, and passes it on in `If-Match`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_good_for_a_change() {
    if !Cache::Caddy.is_installed() || !available(&["curl"]) {
        return;
    }
    let order = started(Backend::Sqlite).await;
    place(&order, 1).await;
    let proxy = Cache::Caddy.before(&order).await;
    let headers = [("accept", "application/json"), ("accept-encoding", "gzip")];
    let url = proxy.plain.url("openapi.json");
    let (description, _) = raw(&url, "application/json", "gzip").await;
    assert!(
        description.contains("content-encoding: gzip"),
        "it compresses"
    );
    let document = proxy.plain.get("order/1", &headers).await;
    assert!(document.body.len() > 512, "it would compress this too");
    let tag = [("if-match", document.header("etag"))];
    let cancelled = proxy.plain.try_send("DELETE", "order/1", &tag, "").await;
    let cancelled = cancelled.unwrap();
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_may_speak_http_2() {
    if !Cache::Caddy.is_installed() || !available(&["curl"]) {
        return;
    }
    let order = started(Backend::Sqlite).await;
    place(&order, 3).await;
    let proxy = Cache::Caddy.before(&order).await;
    let tag = order.client.get("feed", &[]).await;
    let mut curl = program("curl");
    curl.args([
        "-fsS",
        "--http2-prior-knowledge",
        "-w",
        "%{http_version} %{http_code}",
    ]);
    curl.args(["-H", &format!("If-None-Match: {}", tag.header("etag"))]);
    curl.args([
        "-H",
        "A-IM: feed",
        "-H",
        "Prefer: wait=30",
        &proxy.plain.url("feed"),
    ]);
    let (answer, ()) = tokio::join!(succeed(curl), async {
        until("the reader waits", async || {
            (proxy.asked("feed") == 1).then_some(())
        })
        .await;
        place(&order, 1).await;
    });
    assert!(answer.ends_with("2 226"), "{answer}");
    assert_eq!(sequences(&answer), [newest(&order.client).await]);
}
