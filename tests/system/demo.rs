//! `shop demo`: the real program fills the real shop.

use std::process::Command;

use harness::{Client, Process, until};
use serde_json::Value;

use crate::program::{Finished, program};
use crate::shop::{Shop, port};

/// A shop in a directory of its own.
struct Filled {
    shop: Shop,
    base: String,
    port: u16,
    directory: tempfile::TempDir,
}

impl Filled {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = port();
        let base = format!("http://127.0.0.1:{port}/");
        Self {
            shop: Shop::open(directory.path(), port, &base).await,
            base,
            port,
            directory,
        }
    }

    fn demo(&self, arguments: &[&str]) -> Command {
        let mut command = program("shop");
        command
            .arg("demo")
            .args(arguments)
            .env("SHOP_URL", &self.base);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.demo(arguments);
        let said = tokio::task::spawn_blocking(move || Finished::by(&mut command));
        said.await.unwrap()
    }

    async fn count(&self, path: &str) -> i64 {
        count(&self.shop.client, path).await.unwrap()
    }
}

async fn count(client: &Client, path: &str) -> Option<i64> {
    client.json(path).await?["count"].as_i64()
}

/// The sentence about what was placed.
fn placed(summary: &str) -> &str {
    let mut lines = summary.lines();
    lines.find(|line| line.starts_with("Placed ")).unwrap()
}

/// An amount in cents, of `1234.5` or `1,234.50`.
fn cents(amount: &str) -> i64 {
    let amount = amount.replace(',', "");
    let (whole, cents) = amount.split_once('.').unwrap_or((&amount, ""));
    format!("{whole}{cents:0<2}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_fills_a_shop_with_orders_that_become_invoices() {
    let filled = Filled::open().await;
    let first = filled
        .run(&["--orders", "50", "--seed", "7", "--cancel", "20"])
        .await;
    assert!(
        first.err.contains("of 50"),
        "it says how far it is: {first:?}"
    );
    let first = first.with(0);
    assert!(
        placed(&first).starts_with("Placed 50 orders over "),
        "{first}"
    );
    assert!(first.contains("Added "), "{first}");
    for path in ["order/", "invoice/", "shipping/", "order/feed"] {
        assert!(
            first.contains(&format!("{}{path}\n", filled.base)),
            "{first}"
        );
    }
    assert_eq!(filled.count("order/").await, 50);
    let orders = filled.shop.client.json("order/").await.unwrap();
    let orders = orders["orders"].as_array().unwrap().clone();
    let sum = |status: Option<&str>| -> i64 {
        let of = |order: &&Value| status.is_none_or(|status| order["status"] == status);
        let totals = orders
            .iter()
            .filter(of)
            .map(|order| order["total"].to_string());
        totals.map(|total| cents(&total)).sum()
    };
    let amounts: Vec<i64> = placed(&first)
        .split(" over ")
        .skip(1)
        .map(|rest| cents(rest.split(' ').next().unwrap()))
        .collect();
    assert_eq!(amounts, [sum(None), sum(Some("cancelled"))]);

    for path in ["invoice/", "shipping/"] {
        until(&format!("50 at {path}"), async || {
            (count(&filled.shop.client, path).await? == 50).then_some(())
        })
        .await;
    }
    // The same seed, the same orders; nothing is added to what is there.
    let customers = filled.count("order/customers").await;
    let second = filled
        .run(&["--orders", "50", "--seed", "7", "--cancel", "20"])
        .await
        .with(0);
    assert_eq!(placed(&second), placed(&first));
    assert!(!second.contains("Added "), "{second}");
    assert_eq!(filled.count("order/").await, 100);
    assert_eq!(filled.count("order/customers").await, customers);
}

/// No order is lost, and none is placed twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_waits_for_a_shop_that_was_killed() {
    let mut filled = Filled::open().await;
    let mut command = filled.demo(&["--orders", "200", "--cancel", "0", "--parallel", "4"]);
    let mut demo = Process::start_command("demo", &mut command, &[], filled.directory.path());
    until("some orders are placed", async || {
        let orders = count(&filled.shop.client, "order/").await?;
        assert!(orders < 200, "the demo was too fast for this test");
        (orders > 5).then_some(())
    })
    .await;
    filled.shop.process.kill();
    until("the demo has seen that", async || {
        demo.log().contains("waiting for the shop").then_some(())
    })
    .await;
    filled.shop = Shop::open(filled.directory.path(), filled.port, &filled.base).await;
    assert_eq!(demo.ended().await, Some(0), "{}", demo.log());
    assert!(
        demo.log().contains("Placed 200 orders over"),
        "{}",
        demo.log()
    );
    assert_eq!(filled.count("order/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_stopped_prints_what_it_has_done() {
    let filled = Filled::open().await;
    let mut command = filled.demo(&["--orders", "1000000"]);
    let mut demo = Process::start_command("demo", &mut command, &[], filled.directory.path());
    until("some orders are placed", async || {
        (count(&filled.shop.client, "order/").await? > 5).then_some(())
    })
    .await;
    assert_eq!(demo.stop("INT").await, Some(130), "{}", demo.log());
    let orders = filled.count("order/").await;
    let log = demo.log();
    assert!(
        log.contains(&format!("Placed {orders} orders over")),
        "{orders}: {log}"
    );
    assert!(
        log.contains("stopped before all orders were placed"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_shop_the_demo_reports_that() {
    let nothing_there = format!("http://127.0.0.1:{}/", port());
    let said = Finished::by(program("shop").args(["demo", "--url", &nothing_there]));
    let expected = format!(
        "no shop answers at {nothing_there}: start one with `cargo run`, or set its address with --url"
    );
    assert!(said.err.contains(&expected), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    assert_eq!(said.with(1), "");

    let filled = Filled::open().await;
    let said = filled
        .run(&["--url", &format!("{}order/", filled.base)])
        .await;
    assert!(
        said.err.contains("404") && said.err.contains("Is that a shop?"),
        "{said:?}"
    );
    assert_eq!(said.with(1), "");
    for (arguments, expected) in [
        (&["--orders", "0"][..], "--orders <N>"),
        (&["--cancel", "101"], "--cancel <PERCENT>"),
        (&["--parallel", "0"], "--parallel <N>"),
        (
            &["--url", "127.0.0.1:8080"],
            "a base URL is http: or https:",
        ),
        (&["--listen", "127.0.0.1:1"], "unexpected argument"),
    ] {
        let said = filled.run(arguments).await;
        assert!(said.err.contains(expected), "{said:?}");
        assert_eq!(said.with(2), "");
    }
    assert_eq!(filled.count("order/").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_sends_the_configured_credentials() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let asked = write("asked", "read reader:first-pass\noperate eve:s3cret\n");
    let data = directory.path().join("data");
    let listen = format!("127.0.0.1:{}", port());
    let settings = [
        ("LISTEN", listen.as_str()),
        ("DATA_DIR", data.to_str().unwrap()),
        ("CREDENTIALS_FILE", asked.as_str()),
    ];
    let mut shop = Process::start("shop", &settings, directory.path());
    let client = Client::new(&format!("http://{listen}/"));
    // `eve:s3cret`
    let client = client.showing("Basic ZXZlOnMzY3JldA==");
    shop.ready(&client).await;
    let demo = |file: Option<String>| {
        let mut demo = program("shop");
        demo.args(["demo", "--orders", "3", "--url"]);
        demo.arg(format!("http://{listen}/"));
        if let Some(file) = file {
            demo.env("SHOP_CREDENTIALS_FILE", file);
        }
        Finished::by(&mut demo)
    };
    for (file, code, expected) in [
        (None, 1, "with 401: "),
        (Some(write("guess", "eve:guess")), 1, "with 401: "),
        (Some(write("reader", "reader:first-pass")), 1, "with 403: "),
        (
            Some(write("reading", "read eve:s3cret")),
            2,
            "reading alone",
        ),
    ] {
        let said = demo(file);
        assert!(said.err.contains(expected), "{said:?}");
        assert!(said.err.contains("--credentials-file"), "{said:?}");
        assert!(!said.err.contains("s3cret"), "{said:?}");
        assert_eq!(said.with(code), "");
    }
    for file in [asked.clone(), write("own", "eve:s3cret\n")] {
        assert!(demo(Some(file)).with(0).contains("Placed 3 orders over"));
    }
    assert_eq!(count(&client, "order/").await, Some(6));
}
