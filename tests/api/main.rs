//! The services answer as their descriptions specify, also to wrong requests. schemathesis
//! generates the requests from `/openapi.json`; `tests/run` installs it.
//!
//! Each run makes the same requests. `EXAMPLES=1000` makes more of them for each operation, and
//! `SEED=17` others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use harness::programs::{succeed, tool};
use harness::{Backend, Service, new_order, until};

harness::on_both_backends! {
    order_answers_as_described
    invoice_answers_as_described
    shipping_answers_as_described
}

/// Requests for each operation: with these the tests take about a minute.
const EXAMPLES: &str = "30";

async fn order_answers_as_described(backend: Backend) {
    if let Some(tools) = Tools::found() {
        let mut order = Service::new("order", backend).await;
        order.start().await;
        // A full page of the feed, and the beginning of the next one.
        place(&order, 101).await;
        let feed = order.client.get("feed", &[]).await;
        let event = feed.elements("id").remove(1);
        let event = event.trim_start_matches("urn:uuid:").to_owned();
        let epoch = feed.elements("event:epoch").remove(0);
        let there = [("EPOCH", &*epoch), ("EVENT", &*event)];
        tools.check(&order, "order.toml", &there).await;
    }
}

async fn invoice_answers_as_described(backend: Backend) {
    follower_answers_as_described("invoice", "invoice", backend).await;
}

async fn shipping_answers_as_described(backend: Backend) {
    follower_answers_as_described("shipping", "shipment", backend).await;
}

async fn follower_answers_as_described(name: &'static str, table: &str, backend: Backend) {
    let Some(tools) = Tools::found() else {
        return;
    };
    let mut order = Service::new("order", backend).await;
    order.start().await;
    let mut follower = Service::new(name, backend).await;
    follower.set("FEED_URL", order.client.url("feed"));
    follower.start().await;
    // One event is applied, and two are parked.
    let by_mistake = format!("CREATE UNIQUE INDEX by_mistake ON {table} (customer_id)");
    follower.database.execute(&by_mistake).await;
    place(&order, 3).await;
    let parked = until("two parked events", async || {
        let parked = follower.client.json("status/parked").await?;
        let ids = parked["parked"].as_array()?.iter();
        let ids: Vec<_> = ids.filter_map(|event| event["id"].as_str()).collect();
        (ids.len() == 2).then(|| ids[0].to_owned())
    });
    let parked = parked.await;
    let there = [("PARKED", &*parked)];
    tools.check(&follower, "follower.toml", &there).await;
}

async fn place(order: &Service, count: usize) {
    for _ in 0..count {
        let placed = order.client.post_json("orders", &new_order()).await;
        assert_eq!(placed.unwrap().status, 201);
    }
}

/// The program that checks a service.
struct Tools {
    validator: Command,
    schemathesis: Command,
}

impl Tools {
    fn found() -> Option<Self> {
        Some(Self {
            validator: tool("openapi-spec-validator")?,
            schemathesis: tool("schemathesis")?,
        })
    }

    /// Checks the description of `service`, and then the service against it. The configuration
    /// refers to what exists by names.
    async fn check(mut self, service: &Service, configuration: &str, there: &[(&str, &str)]) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("openapi.json");
        let description = service.client.get("openapi.json", &[]).await;
        std::fs::write(&file, description.body).unwrap();
        self.validator.args(["--schema", "3.1"]).arg(file);
        succeed(self.validator).await;

        let configurations = Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
        let configuration = std::fs::read_to_string(configurations.join(configuration)).unwrap();
        let configuration = there.iter().fold(configuration, |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        });
        std::fs::write(directory.path().join("schemathesis.toml"), configuration).unwrap();
        let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
        self.schemathesis
            .current_dir(&directory)
            .arg("--no-color")
            .arg("run")
            .arg(service.client.url("openapi.json"))
            .args(["--seed", &setting("SEED", "1")])
            .args(["--max-examples", &setting("EXAMPLES", EXAMPLES)])
            // JSON where there is JSON.
            .args(["--header", "Accept: application/json, */*;q=0.1"])
            // A redirect is an answer of its own.
            .args(["--max-redirects", "0"])
            .args(["--generation-database", "none"])
            .arg("--continue-on-failure");
        println!("{}", succeed(self.schemathesis).await);
        // Besides the answers: nothing has failed inside.
        let ready = service.client.get("health/ready", &[]).await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        let log = service.process().unwrap().log();
        let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}
