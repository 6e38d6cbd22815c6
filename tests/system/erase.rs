//! A person is erased by the command, while all three services run: nothing is left of them except
//! what an invoice has to keep.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use harness::tables::{is_postgres, number, rows, texts};
use harness::{Backend, Service, System, built, new_order, until};
use serde_json::{Value, json};

crate::on_both! {
    nothing_is_left_except_what_an_invoice_keeps
    a_command_that_is_killed_is_finished_by_the_next_one
}

const NAME: &str = "Qwertzowska";
const FIRSTNAME: &str = "Zdzisława";
const EMAIL: &str = "zdzisia@qwertz.example";
const SHIPPING: [&str; 3] = ["Abholgasse 77", "SHIP-4711", "Versandstadt"];
const BILLING: [&str; 3] = ["Rechnungsweg 88", "BILL-4712", "Buchheim"];

/// What no service keeps.
const ERASED: [&str; 4] = [EMAIL, SHIPPING[0], SHIPPING[1], SHIPPING[2]];
/// What an invoice keeps.
const KEPT: [&str; 5] = [NAME, FIRSTNAME, BILLING[0], BILLING[1], BILLING[2]];

/// Adds the person; returns their number.
async fn add_person(system: &System) -> i64 {
    let person = json!({"name": NAME, "firstname": FIRSTNAME, "email": EMAIL});
    let answer = system.order.client.post_json("customers", &person).await;
    answer.unwrap().json()["customerId"].as_i64().unwrap()
}

fn order_of(customer: i64) -> Value {
    let address =
        |[street, zip, city]: [&str; 3]| json!({"street": street, "zip": zip, "city": city});
    let mut order = new_order();
    order["customer"] = json!(customer);
    order["shippingAddress"] = address(SHIPPING);
    order["billingAddress"] = address(BILLING);
    order
}

/// Links that are published stay, so the command does not guess with what they begin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_the_service_is_required() {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.start().await;
    let mut erase = command(&order, 1);
    erase.env_remove("BASE_URL");
    let output = run(erase).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("set BASE_URL"), "{said}");
    assert_eq!(order.client.get("customers/1", &[]).await.status, 200);
}

/// The command as the operator types it, with the settings of the service.
fn command(order: &Service, customer: i64) -> Command {
    let mut command = built("order");
    command
        .args(["erase", "--by", "eve", "--customer", &customer.to_string()])
        .env("DATABASE_URL", order.database.url())
        .env("BASE_URL", order.client.url(""))
        .env_remove("RUST_LOG");
    command
}

async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

/// Waits until a consumer has applied everything, and nothing is parked.
async fn caught_up(order: &Service, consumer: &Service) {
    let head = number(order.database.url(), "SELECT sequence FROM feed_head").await;
    until("all is taken", async || {
        let status = consumer.client.json("status").await?;
        (status["sequence"].as_i64() >= Some(head)).then_some(())?;
        assert_eq!(status["parked"], 0);
        Some(())
    })
    .await;
}

/// The content of all tables of a service.
async fn stored(service: &Service) -> String {
    let url = service.database.url();
    let tables = match is_postgres(url) {
        true => {
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
        }
        false => "SELECT name FROM sqlite_schema WHERE type = 'table'",
    };
    let mut stored = String::new();
    for table in texts(url, tables).await {
        if !table.ends_with("_migrations") {
            stored.extend(rows(url, &table, &[]).await);
        }
    }
    stored
}

/// All bytes of the files of a database that is closed.
fn bytes(directory: &Path) -> String {
    let mut all = String::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    all
}

#[track_caller]
fn assert_none(parts: &[&str], text: &str, place: &str) {
    for part in parts {
        if let Some(at) = text.find(part) {
            let around: String = text[..at].chars().rev().take(300).collect();
            let around: String = around.chars().rev().collect();
            panic!("{place} has {part}: …{around}…");
        }
    }
}

/// The link of a document with that relation.
fn link(document: &str, rel: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("rel=\"{rel}\""))?;
    let (_, rest) = rest.split_once("href=\"")?;
    rest.split('"').next().map(str::to_owned)
}

/// The documents of the feed that are sealed, oldest first.
async fn pages(system: &System) -> Vec<String> {
    let client = &system.order.client;
    let first = client.get("feed?after=start", &[]).await;
    let mut path = first.header("location").to_owned();
    let mut pages = Vec::new();
    loop {
        let page = client.get(&path, &[]).await;
        assert_eq!(page.status, 200, "{path}");
        let next = link(&page.body, "next-archive");
        pages.push(page.body);
        match next {
            Some(next) => path = next,
            None => return pages,
        }
    }
}

async fn nothing_is_left_except_what_an_invoice_keeps(backend: Backend) {
    let mut system = System::started(backend).await;
    let customer = add_person(&system).await;
    let mut ids = Vec::new();
    for n in 0..220 {
        let order = match n % 3 {
            0 => order_of(customer),
            _ => new_order(),
        };
        let answer = system
            .order
            .client
            .post_json("orders", &order)
            .await
            .unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        ids.extend((n % 3 == 0).then(|| answer.json()["id"].as_i64().unwrap()));
    }
    let first = ids[0];
    let cancel = format!("order/{first}/cancel");
    assert_eq!(
        system.order.client.post_form(&cancel, &[]).await.status,
        303
    );
    caught_up(&system.order, &system.invoice).await;
    caught_up(&system.order, &system.shipping).await;
    let before = pages(&system).await;
    assert_eq!(before.len(), 2);
    let all: Vec<&str> = ERASED.into_iter().chain(KEPT).collect();
    let batch = link(&before[0], "related").unwrap();
    let event = before[0]
        .split("src=\"")
        .last()
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    for path in [&batch, &event] {
        assert!(system.order.client.get(path, &[]).await.body.contains(NAME));
    }

    let said = run(command(&system.order, customer)).await;
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(
        text,
        format!("Erased customer {customer}: 74 orders and 75 events.\n")
    );
    caught_up(&system.order, &system.invoice).await;
    caught_up(&system.order, &system.shipping).await;

    // A new consumer can read the whole feed, and so can a poller like the original's.
    let mut late = Service::new("shipping", backend).await;
    late.set("FEED_URL", system.order.client.url("feed"));
    late.start().await;
    caught_up(&system.order, &late).await;
    let shipments = number(late.database.url(), "SELECT count(*) FROM shipment").await;
    assert_eq!(shipments, 220);
    let head = system.order.client.get("feed", &[]).await;
    for entry in head.body.split("<entry>").skip(1) {
        let src = entry
            .split("src=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let answer = system.order.client.get(src, &[]).await;
        assert_eq!(answer.status, 200);
        let order = answer.json();
        assert!(order["id"].is_i64() && order["customer"]["customerId"].is_i64());
        assert!(order["orderLine"][0]["item"]["price"].is_number());
    }

    assert_eq!(pages(&system).await, before, "the bytes of a page changed");

    let one = first.to_string();
    let order_path = format!("order/{first}");
    let searched = format!("?q={}", FIRSTNAME.to_uppercase());
    for (service, paths) in [
        (
            &system.order,
            vec![
                "",
                "feed",
                &batch,
                &event,
                &order_path,
                "customers",
                "form.html",
                &searched,
            ],
        ),
        (&system.shipping, vec!["", &one, "status"]),
        (&late, vec!["", &one]),
    ] {
        for path in paths {
            for accept in ["*/*", "application/json"] {
                let answer = service.client.get(path, &[("accept", accept)]).await;
                assert_none(&all, &answer.body, path);
            }
        }
    }
    let invoice = system.invoice.client.get(&one, &[]).await.body;
    assert!(
        KEPT.into_iter().all(|part| invoice.contains(part)),
        "{invoice}"
    );
    assert_none(&ERASED, &invoice, "the invoice");

    for (service, forbidden) in [
        (&system.order, all.as_slice()),
        (&system.shipping, &all),
        (&late, &all),
        (&system.invoice, &ERASED),
    ] {
        assert_none(
            forbidden,
            &stored(service).await,
            service.client.url("").as_str(),
        );
        assert_none(&all, &service.process().unwrap().log(), "a log");
    }
    for (name, service) in [("invoice", &system.invoice), ("shipping", &system.shipping)] {
        let mut reconcile = built(name);
        reconcile
            .arg("reconcile")
            .env("DATABASE_URL", service.database.url())
            .env("FEED_URL", system.order.client.url("feed"));
        let said = run(reconcile).await;
        assert!(said.status.success(), "{said:?}");
    }
    // A second time there is nothing to do, and an unknown number is refused.
    let said = run(command(&system.order, customer)).await;
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(
        text,
        format!("Erased customer {customer}: 0 orders and 0 events.\n")
    );
    let said = run(command(&system.order, 4711)).await;
    assert_eq!(said.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(said.stderr).unwrap(),
        "there is no customer 4711\n"
    );

    for service in [
        &mut system.order,
        &mut system.invoice,
        &mut system.shipping,
        &mut late,
    ] {
        assert_eq!(service.stop().await, Some(0));
    }
    for (service, forbidden) in [
        (&system.order, all.as_slice()),
        (&system.shipping, &all),
        (&late, &all),
        (&system.invoice, &ERASED),
    ] {
        if let Some(directory) = service.database.directory() {
            assert_none(forbidden, &bytes(directory), "a file");
        }
    }
}

/// Orders of the person are placed until they are refused, while the command is killed again and again.
async fn a_command_that_is_killed_is_finished_by_the_next_one(backend: Backend) {
    let system = System::started(backend).await;
    let customer = add_person(&system).await;
    let shoppers: Vec<_> = (0..3)
        .map(|_| {
            let client = system.order.client.clone();
            tokio::spawn(async move {
                let mut placed = 0;
                loop {
                    let answer = client
                        .post_json("orders", &order_of(customer))
                        .await
                        .unwrap();
                    match answer.status {
                        201 => placed += 1,
                        422 => return placed,
                        other => panic!("{other}: {}", answer.body),
                    }
                }
            })
        })
        .collect();
    until("there are orders", async || {
        let orders = system.order.client.json("").await?;
        (orders["count"].as_i64() >= Some(150)).then_some(())
    })
    .await;
    let erasure = "SELECT count(*) FROM erasure";
    let mut killed = 0;
    for _ in 0..6 {
        let mut child = command(&system.order, customer)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the command is at work", async || {
            let begun = number(system.order.database.url(), erasure).await == 1;
            begun.then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..60))).await;
        killed += i32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 0, "it was never killed at work");
    let mut placed = 0;
    for shopper in shoppers {
        placed += shopper.await.unwrap();
    }
    let said = run(command(&system.order, customer)).await;
    assert!(said.status.success(), "{said:?}");
    let url = system.order.database.url();
    let erased = "SELECT count(*) FROM feed_event WHERE event_type = 'order.erased'";
    assert_eq!(number(url, erased).await, placed);
    let orders = "SELECT count(DISTINCT subject) FROM feed_event WHERE event_type = 'order.erased'";
    assert_eq!(number(url, orders).await, placed);
    caught_up(&system.order, &system.invoice).await;
    caught_up(&system.order, &system.shipping).await;
    let all: Vec<&str> = ERASED.into_iter().chain(KEPT).collect();
    assert_none(&all, &stored(&system.order).await, "order");
    assert_none(&all, &stored(&system.shipping).await, "shipping");
    assert_none(&ERASED, &stored(&system.invoice).await, "invoice");
}
