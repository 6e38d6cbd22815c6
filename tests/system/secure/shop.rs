//! The whole shop in one process, with credentials; and the addresses on which it listens.

use std::collections::BTreeSet;
use std::path::Path;

use harness::{Client, Process, free_address, new_order, until};

use super::{CREDENTIALS, EVE, READER};
use crate::shop::links;

/// A shop with credentials on an address of its own, and a client with all rights.
async fn open(directory: &Path, credentials: &str, listen: &str) -> (Process, Client) {
    let file = directory.join("credentials");
    std::fs::write(&file, credentials).unwrap();
    let data = directory.join("data");
    let settings = [
        ("LISTEN", listen),
        ("DATA_DIR", data.to_str().unwrap()),
        ("CREDENTIALS_FILE", file.to_str().unwrap()),
    ];
    let address = listen.replace("0.0.0.0", "127.0.0.1");
    let client = Client::new(&format!("http://{address}/")).showing(EVE);
    let mut process = Process::start("shop", &settings, directory);
    process.ready(&client).await;
    (process, client)
}

async fn place(client: &Client, id: i64) {
    let placed = client
        .post_json("order/orders", &new_order())
        .await
        .unwrap();
    assert_eq!(placed.status, 201, "{}", placed.body);
    for path in [format!("invoice/{id}"), format!("shipping/{id}")] {
        until(&path, async || client.json(&path).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_sees_pages_with_credentials_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (shop, client) = open(directory.path(), CREDENTIALS, &free_address()).await;
    place(&client, 1).await;
    let browser = [("accept", "text/html, */*;q=0.1")];
    let mut open = vec![client.url("")];
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(url) = open.pop() {
        let answer = client.get(&url, &browser).await;
        assert_eq!(answer.status, 200, "{url}");
        let anonymous = client.anonymous().get(&url, &browser).await;
        let reader = client.showing(READER).get(&url, &browser).await;
        let path = url.trim_start_matches(&client.url(""));
        let asset = [".css", ".js", ".svg"]
            .iter()
            .any(|end| path.ends_with(end));
        let feed = path.starts_with("order/feed") || path.starts_with("order/events/");
        let expected = match (asset, feed) {
            (true, _) => (200, 200),
            (_, true) => (401, 200),
            _ => (401, 403),
        };
        assert_eq!((anonymous.status, reader.status), expected, "{url}");
        if !asset {
            assert!(
                anonymous.body.contains("<h1>Credentials are needed"),
                "{url}"
            );
        }
        let page = url::Url::parse(&url).unwrap();
        for link in links(&answer.body) {
            let mut target = page.join(&link).unwrap();
            target.set_fragment(None);
            assert!(target.as_str().starts_with(&client.url("")), "{target}");
            if seen.insert(target.to_string()) {
                open.push(target.into());
            }
        }
    }
    assert!(seen.len() > 25, "{seen:#?}");
    for path in ["order/health/ready", "invoice/health/live"] {
        assert_eq!(client.anonymous().get(path, &[]).await.status, 200);
    }
    for path in [
        "order",
        "invoice",
        "feed",
        "events/1",
        "order//feed",
        "none/feed",
    ] {
        let answer = client.anonymous().get(path, &[]).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    // On a loaded machine, a part of the shop may wait for another one before.
    let log = shop.log();
    let (_, log) = log.split_once("the shop is open").unwrap();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

/// Its own consumers use a credential of the file, one for reading if there is one, and a new one
/// after a change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_within_the_shop_use_the_same_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = "operate eve:pass:wörd\n";
    let (shop, client) = open(directory.path(), text, &free_address()).await;
    place(&client, 1).await;
    let new = "operate new-token\nread reader-token\n";
    std::fs::write(directory.path().join("credentials"), new).unwrap();
    shop.signal("HUP");
    until("they are read", async || {
        shop.log()
            .contains("read 2 credentials again")
            .then_some(())
    })
    .await;
    assert_eq!(client.get("invoice/", &[]).await.status, 401);
    place(&client.showing("Bearer new-token"), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_machines_are_accepted_with_credentials_alone() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_address().replace("127.0.0.1", "0.0.0.0");
    let (_shop, client) = open(directory.path(), CREDENTIALS, &port).await;
    place(&client, 1).await;
    assert_eq!(client.anonymous().get("", &[]).await.status, 401);

    for name in ["shop", "order", "invoice", "shipping"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let database = format!("sqlite:{}", directory.path().join("test.db").display());
        let (data, database) = (data.to_str().unwrap(), &*database);
        let base = [("DATA_DIR", data), ("DATABASE_URL", database)];
        let start = |settings: &[(&str, &str)]| {
            let settings = [&base[..], settings].concat();
            Process::start(name, &settings, directory.path())
        };
        for listen in ["0.0.0.0:0", "[::]:0"] {
            let mut alone = start(&[("LISTEN", listen)]);
            assert_eq!(alone.ended().await, Some(1), "{}", alone.log());
            let log = alone.log();
            assert!(
                log.contains("CREDENTIALS_FILE") && log.contains("--allow-anonymous"),
                "{log}"
            );
        }
        let file = directory.path().join("credentials");
        for (text, wrong) in [
            ("# nothing\n", "holds no credentials"),
            ("read ada:s3cret\ns3cret\n", "credentials, line 2: "),
            ("operate :s3cret\n", "credentials, line 1: the name"),
        ] {
            std::fs::write(&file, text).unwrap();
            let mut process = start(&[("CREDENTIALS_FILE", file.to_str().unwrap())]);
            assert_eq!(process.ended().await, Some(2), "{}", process.log());
            let log = process.log();
            assert!(log.contains(wrong) && !log.contains("s3cret"), "{log}");
        }
    }
}
