//! How a service tests what it does with events: its effect alone, and all of it in one process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use feed_core::Received;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn letters(pool: &SqlitePool) -> Vec<String> {
    let letters = sqlx::query_scalar("SELECT text FROM letter");
    letters.fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_letter_is_written_for_an_order() {
    let pool = pool("sqlite::memory:").await.unwrap();
    let event = Received {
        event_type: Some("order.placed".to_owned()),
        data: r#"{"item":"iPod"}"#.to_owned(),
        ..Received::default()
    };
    let mut tx = pool.begin().await.unwrap();
    let applied = Letters.apply(&mut tx, &Batch::new(&[event])).await;
    applied.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(letters(&pool).await, ["Thank you for your order of: iPod"]);
}

/// An answer, by a client of a few lines.
async fn send(address: &str, request: &str, body: &str) -> String {
    let mut server = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    server.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_order_leads_to_one_letter() {
    let directory = std::env::temp_dir().join(format!("feed-core-host-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let url = format!("sqlite:{}", directory.join("host.db").display());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let first = pool(&url).await.unwrap();
    let serving = tokio::spawn(serve(first.clone(), listener, stop.clone()));

    let answer = send(&address, "POST /orders", "iPod").await;
    assert!(answer.ends_with("order 1\n"), "{answer}");
    let written = async {
        while letters(&first).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let written = tokio::time::timeout(Duration::from_secs(30), written);
    written.await.unwrap();
    let feed = send(&address, "GET /orders/feed", "").await;
    assert!(feed.contains(&format!("http://{address}/orders/feed")));
    let metrics = send(&address, "GET /metrics", "").await;
    for line in ["shop_orders 1", "feed_sequence{} 1", "database_up{} 1"] {
        assert!(metrics.contains(&format!("{line}\n")), "{line}: {metrics}");
    }
    // Each histogram has a bucket of all values.
    let counts = metrics.lines().filter(|line| line.contains("_count{"));
    let all = metrics.lines().filter(|line| line.contains("le=\"+Inf\""));
    assert_eq!(counts.count(), all.count(), "{metrics}");
    assert!(metrics.contains("le=\"+Inf\""), "{metrics}");
    stop.cancel();
    serving.await.unwrap().unwrap();

    // Started again, it follows the feed from where it was.
    let pool = pool(&url).await.unwrap();
    assert_eq!(letters(&pool).await, ["Thank you for your order of: iPod"]);
    pool.close().await;
    std::fs::remove_dir_all(directory).unwrap();
}
