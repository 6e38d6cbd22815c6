//! The start page of the deployment is that of the program `shop`: the script finds the same elements in both.

use std::collections::BTreeSet;

use harness::{Client, Process, free_address};

use crate::site::deploy;

/// The attributes by which the script finds and asks, with addresses relative to the page.
fn marks(html: &str) -> BTreeSet<String> {
    let names = [" id=\"", " class=\"", " data-feed=\"", " data-status=\""];
    let all = names.iter().flat_map(|name| {
        let values = html.split(name).skip(1);
        values.filter_map(move |rest| {
            let value = rest.split('"').next()?.trim_start_matches('/');
            Some(format!("{name}{value}"))
        })
    });
    // The states themselves, and what is around the page.
    let own = [" class=\"status ", " class=\"skip", " id=\"main"];
    all.filter(|mark| !own.iter().any(|own| mark.starts_with(own)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_page_is_that_of_the_shop() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let data = directory.path().join("data");
    let settings = [
        ("LISTEN", address.as_str()),
        ("DATA_DIR", data.to_str().unwrap()),
    ];
    let mut shop = Process::start("shop", &settings, directory.path());
    let client = Client::new(&format!("http://{address}/"));
    shop.ready(&client).await;
    let own = client.get("", &[]).await.body;
    let deployed = std::fs::read_to_string(deploy().join("index.html")).unwrap();
    let expected = marks(&own);
    assert!(expected.contains(" data-status=\"shipping/status"), "{own}");
    assert_eq!(marks(&deployed), expected);
    let script = client.get("start.js", &[]).await.body;
    let file = std::fs::read_to_string(deploy().join("start.js")).unwrap();
    assert_eq!(script, file);
}
