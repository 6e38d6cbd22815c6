//! The whole shop in one process, as `cargo run` starts it.

use std::collections::BTreeSet;

use harness::{Client, Process, new_order, until};

/// A shop on a port of its own.
pub(crate) struct Shop {
    pub(crate) process: Process,
    pub(crate) client: Client,
}

impl Shop {
    pub(crate) async fn open(directory: &std::path::Path, port: u16, base: &str) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let data = directory.join("data");
        let settings = [
            ("LISTEN", listen.as_str()),
            ("BASE_URL", base),
            ("DATA_DIR", data.to_str().unwrap()),
        ];
        let client = Client::new(&format!("http://{listen}/"));
        let mut process = Process::start("shop", &settings, directory);
        process.ready(&client).await;
        Self { process, client }
    }
}

pub(crate) fn port() -> u16 {
    fastrand::u16(12_000..32_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_survives_ctrl_c_and_a_restart_with_all_data() {
    let directory = tempfile::tempdir().unwrap();
    let port = port();
    let base = format!("http://127.0.0.1:{port}/");
    let mut shop = Shop::open(directory.path(), port, &base).await;
    let placed = shop
        .client
        .post_json("order/orders", &new_order())
        .await
        .unwrap();
    assert_eq!(placed.status, 201, "{}", placed.body);
    for path in ["invoice/1", "shipping/1"] {
        until(path, async || shop.client.json(path).await).await;
    }
    let feed = shop.client.get("order/feed", &[]).await;
    assert_eq!(shop.process.stop("INT").await, Some(0));
    let log = shop.process.log();
    assert!(
        log.contains(&base) && log.contains("order/feed"),
        "it says where to look: {log}"
    );

    let shop = Shop::open(directory.path(), port, &base).await;
    for path in ["order/order/1", "invoice/1", "shipping/1"] {
        assert!(shop.client.json(path).await.is_some(), "{path}");
    }
    let again = shop
        .client
        .get("order/feed", &[("if-none-match", feed.header("etag"))])
        .await;
    assert_eq!(again.status, 304, "the tag holds over a restart");
}

/// Every link of every page works, at the root and behind a prefix.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_link_of_every_page_works() {
    for prefix in ["", "some/where/"] {
        let directory = tempfile::tempdir().unwrap();
        let port = port();
        // A client can remove the prefix itself, as a proxy does.
        let public = format!("https://shop.example/{prefix}");
        let shop = Shop::open(directory.path(), port, &public).await;
        for _ in 0..3 {
            shop.client
                .post_json("order/orders", &new_order())
                .await
                .unwrap();
        }
        for path in ["invoice/3", "shipping/3"] {
            until(path, async || shop.client.json(path).await).await;
        }
        let mut open: Vec<String> = vec![public.clone()];
        let mut seen: BTreeSet<String> = open.iter().cloned().collect();
        while let Some(url) = open.pop() {
            let path = url
                .strip_prefix(&public)
                .unwrap_or_else(|| panic!("{url} leads elsewhere"));
            let answer = shop
                .client
                .get(path, &[("accept", "text/html, */*;q=0.1")])
                .await;
            assert_eq!(answer.status, 200, "{url}");
            let page = url::Url::parse(&url).unwrap();
            for link in links(&answer.body) {
                let mut target = page.join(&link).unwrap();
                target.set_fragment(None);
                if seen.insert(target.to_string()) {
                    open.push(target.into());
                }
            }
        }
        for expected in [
            "order/form.html",
            "order/order/2",
            "invoice/2",
            "shipping/2",
            "order/feed",
        ] {
            assert!(
                seen.contains(&format!("{public}{expected}")),
                "no link to {expected}: {seen:#?}"
            );
        }
    }
}

/// The values of `href` and `src`.
pub(crate) fn links(body: &str) -> Vec<String> {
    ["href=\"", "src=\""]
        .iter()
        .flat_map(|attribute| body.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
        .filter(|link| !link.starts_with("urn:"))
        .collect()
}
