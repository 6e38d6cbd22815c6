//! A shop moves to other databases: readers of the feed see no difference, nothing is lost, and
//! nothing has a second effect.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::tables::{is_postgres, number, rows};
use harness::{Backend, FreshDatabase, Service, System, built, load, new_order, until};
use serde_json::{Value, json};

use crate::program::Finished;

crate::on_both! {
    a_shop_moves_and_readers_see_no_difference
    numbers_that_were_used_are_not_reused_after_a_move
    a_refused_move_is_explained_and_changes_nothing
}

/// More than three pages of events.
const ORDERS: u64 = 260;

const NAMES: [&str; 3] = ["order", "invoice", "shipping"];

/// A database of the other kind.
async fn another(backend: Backend) -> FreshDatabase {
    match backend {
        Backend::Sqlite => FreshDatabase::postgres().await,
        Backend::Postgres => FreshDatabase::sqlite(),
    }
}

fn services(system: &mut System) -> [&mut Service; 3] {
    [&mut system.order, &mut system.invoice, &mut system.shipping]
}

/// A command of the shop about the databases of these services.
async fn shop(system: &mut System, arguments: &[&str]) -> Finished {
    let mut command = built("shop");
    command.args(arguments).env_remove("RUST_LOG");
    for (name, service) in NAMES.iter().zip(services(system)) {
        let variable = format!("{}_DATABASE_URL", name.to_uppercase());
        command.env(variable, service.database.url());
    }
    let output = tokio::task::spawn_blocking(move || command.output());
    Finished::of(output.await.unwrap().unwrap())
}

/// The rows of a file, in an order that depends only on them.
fn read(directory: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join(format!("{name}.jsonl"))).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        // The digest depends on the order of the rows.
        .filter(|line| !line.starts_with("{\"digest\""))
        .map(|line| serde_json::from_str::<Value>(line).unwrap().to_string())
        .collect();
    lines.sort();
    lines
}

/// Everything that can be read of the shop, by its address.
async fn all_that_can_be_read(system: &System) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut read = async |service: &Service, path: &str, accept: &str| {
        let answer = service.client.get(path, &[("accept", accept)]).await;
        assert_eq!(answer.status, 200, "{path}");
        let entry = format!("{} {}", answer.header("etag"), answer.body);
        all.insert(service.client.url(path), entry);
        answer.body
    };
    let order = &system.order;
    let head = read(order, "feed", "application/atom+xml").await;
    for event in head.split("/events/").skip(1) {
        let id = event.split('"').next().unwrap();
        read(order, &format!("events/{id}"), "application/json").await;
    }
    let epoch = head.split("<event:epoch>").nth(1).unwrap();
    let epoch = epoch.split('<').next().unwrap();
    for page in 1..=2 {
        read(
            order,
            &format!("feed/{epoch}/{page}"),
            "application/atom+xml",
        )
        .await;
    }
    let batch = format!("feed/{epoch}/batch/1-100");
    read(order, &batch, "application/cloudevents-batch+json").await;
    for path in ["", "customers", "items", "order/1", "order/260"] {
        read(order, path, "application/json").await;
    }
    for consumer in [&system.invoice, &system.shipping] {
        for path in ["", "1", "7", "260"] {
            read(consumer, path, "application/json").await;
        }
    }
    all
}

async fn a_shop_moves_and_readers_see_no_difference(from: Backend) {
    let mut system = System::started(from).await;
    let client = system.order.client.clone();
    load::place_many(&client, ORDERS).await;
    let key = [
        ("idempotency-key", "once"),
        ("content-type", "application/json"),
    ];
    let body = new_order().to_string();
    let placed = client.try_send("POST", "orders", &key, &body).await;
    let last = placed.unwrap().json()["id"].as_i64().unwrap();
    // Two are parked at invoice.
    let mistake =
        format!("CREATE UNIQUE INDEX by_mistake ON invoice (customer_id) WHERE order_id >= {last}");
    until("the last one before has its invoice", async || {
        system.invoice.client.json(&last.to_string()).await
    })
    .await;
    system.invoice.database.execute(&mistake).await;
    let stuck = [system.place().await, system.place().await];
    let newest = load::published(&system.order).await;
    for consumer in [&system.invoice, &system.shipping] {
        until("all is taken", async || {
            let status = consumer.client.json("status").await?;
            (status["sequence"] == newest).then_some(())
        })
        .await;
    }
    let parked = system.invoice.client.json("status").await.unwrap()["parked"].clone();
    assert!(parked.as_i64() >= Some(1), "{parked}");
    let before = all_that_can_be_read(&system).await;
    for service in services(&mut system) {
        assert_eq!(service.stop().await, Some(0));
    }

    let files = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| files.path().join(name));
    let said = shop(&mut system, &["export", first.to_str().unwrap()])
        .await
        .with(0);
    assert_eq!(said.lines().count(), 3, "{said}");
    let mut old = Vec::new();
    for service in services(&mut system) {
        let new = another(from).await;
        service.set("DATABASE_URL", new.url().to_owned());
        old.push(std::mem::replace(&mut service.database, new));
    }
    shop(&mut system, &["import", first.to_str().unwrap()])
        .await
        .with(0);
    // The second export has the same rows as the first.
    shop(&mut system, &["export", second.to_str().unwrap()])
        .await
        .with(0);
    for name in NAMES {
        assert_eq!(read(&first, name), read(&second, name), "{name}");
    }

    for service in services(&mut system) {
        service.start().await;
    }
    let after = all_that_can_be_read(&system).await;
    for (address, document) in &before {
        assert_eq!(document, &after[address], "{address}");
    }
    // A request that is repeated is still the same one; a new one gets a new number.
    let again = client
        .try_send("POST", "orders", &key, &body)
        .await
        .unwrap();
    assert_eq!(again.json()["id"], last);
    let next = system.place().await;
    assert_eq!(next, stuck[1] + 1);
    system.invoice(next).await;
    system.shipment(next).await;
    // Parked events are still parked, and are applied after a retry.
    assert_eq!(
        system.invoice.client.json("status").await.unwrap()["parked"],
        parked
    );
    let retried = system
        .invoice
        .client
        .post_form("status/retry", &[("by", "eve")])
        .await;
    assert!(retried.status < 400, "{}", retried.body);
    for id in stuck {
        system.invoice(id).await;
    }
    let [invoices, shipments] =
        [(&system.invoice, "invoice"), (&system.shipping, "shipment")].map(|(service, table)| {
            (
                service.database.url(),
                format!("SELECT count(*) FROM {table}"),
            )
        });
    let orders = number(system.order.database.url(), "SELECT count(*) FROM orders").await;
    assert_eq!(number(invoices.0, &invoices.1).await, orders);
    assert_eq!(number(shipments.0, &shipments.1).await, orders);
}

/// Numbers that the backup does not have.
async fn numbers_that_were_used_are_not_reused_after_a_move(from: Backend) {
    let mut order = Service::new("order", from).await;
    order.start().await;
    load::place_many(&order.client, 3).await;
    let known = source(&order, "4").await;
    assert_eq!(order.stop().await, Some(0));
    let new = another(from).await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("order.jsonl");
    let file = file.to_str().unwrap();
    let restored = [
        "restored",
        "--last-order=500",
        "--last-customer=30",
        "--last-item=40",
    ];
    for (arguments, url) in [
        (&restored[..], order.database.url()),
        (&["export", file], order.database.url()),
        (&["import", file], new.url()),
    ] {
        let mut command = built("order");
        command.args(arguments).env("DATABASE_URL", url);
        Finished::by(command.env_remove("RUST_LOG")).with(0);
    }
    order.set("DATABASE_URL", new.url().to_owned());
    order.set("BASE_URL", "https://shop.example/order/".to_owned());
    order.start().await;
    assert_eq!(load::place(&order.client, 1).await, Some(501));
    assert_eq!(load::place(&order.client, 1).await, Some(502));
    let person = json!({"name": "Last", "firstname": "Anna", "email": "anna@example.com"});
    let answer = order.client.post_json("customers", &person).await.unwrap();
    assert_eq!(answer.json()["customerId"], 31);
    // Events do not get another source either, at another address and after commands without one.
    assert_eq!(source(&order, "6").await, known);
}

/// The CloudEvents `source` of the newest event, whose sequence is `newest`.
async fn source(order: &Service, newest: &str) -> String {
    let id = until("the newest event is in the feed", async || {
        let head = order.client.get("feed", &[]).await;
        let is_there = head.elements("event:sequence").first()? == newest;
        is_there.then(|| head.elements("id").remove(1))
    })
    .await;
    let path = format!("events/{}", &id["urn:uuid:".len()..]);
    order
        .client
        .get(&path, &[])
        .await
        .header("ce-source")
        .to_owned()
}

async fn a_refused_move_is_explained_and_changes_nothing(backend: Backend) {
    let mut system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    let files = tempfile::tempdir().unwrap();
    let directory = files.path().to_str().unwrap().to_owned();
    shop(&mut system, &["export", &directory]).await.with(0);

    // A part of the shop cannot be exported.
    let mut all = built("shop");
    all.args(["export", &format!("{directory}/half")]);
    all.env("ORDER_DATABASE_URL", system.order.database.url());
    let refused = Finished::by(all.env_remove("RUST_LOG"));
    assert!(refused.err.contains("all three databases"), "{refused:?}");
    refused.with(2);

    // The databases are in use.
    let used = shop(&mut system, &["import", &directory]).await;
    assert!(used.err.contains("import into a new database"), "{used:?}");
    used.with(2);
    system.invoice(id).await;

    // Files that are incomplete, or of something else.
    let file = files.path().join("order.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
    let is_item = |line: &&str| line.contains("Apple TV") && !line.contains("item_id");
    let less = whole.lines().filter(|line| !is_item(line));
    let less: String = less.map(|line| format!("{line}\n")).collect();
    let digest = whole.trim_end().lines().next_back().unwrap();
    let cases = [
        (cut.to_owned(), "the file is not whole"),
        (less, "the file is damaged"),
        (whole.replacen("Berlin", "Bexlin", 1), "the file is damaged"),
        (whole.clone() + digest, "nothing may follow"),
        (whole.replace("\"placed\",", ""), "has other columns here"),
        (
            whole.replace("\"orders\"", "\"pears\""),
            "table pears is not expected here",
        ),
        (
            whole.replacen("feed-core", "another", 1),
            "line 1 of the file cannot be read",
        ),
        (whole.replacen("{\"row\"", "{\"oar\"", 1), "cannot be read"),
        (String::new(), "the file is not whole"),
    ];
    let new = another(backend).await;
    for (text, why) in cases {
        std::fs::write(&file, text).unwrap();
        let mut import = built("order");
        import
            .arg("import")
            .arg(&file)
            .env("DATABASE_URL", new.url());
        let refused = Finished::by(import.env_remove("RUST_LOG"));
        assert!(refused.err.contains(why), "{why}: {refused:?}");
        refused.with(2);
        assert_eq!(rows(new.url(), "orders", &[]).await, [""; 0]);
        assert_eq!(number(new.url(), "SELECT count(*) FROM customers").await, 2);
    }
    std::fs::write(&file, &whole).unwrap();
    let mut import = built("order");
    import
        .arg("import")
        .arg(&file)
        .env("DATABASE_URL", new.url());
    Finished::by(import.env_remove("RUST_LOG")).with(0);
    assert_eq!(rows(new.url(), "orders", &[]).await.len(), 1);

    // Confusing the file with the database destroys neither.
    let mut export = built("order");
    let precious = files.path().join("precious.db");
    std::fs::write(&precious, "SQLite format 3").unwrap();
    export
        .arg("export")
        .arg(&precious)
        .env("DATABASE_URL", new.url());
    let refused = Finished::by(export.env_remove("RUST_LOG"));
    assert!(refused.err.contains("is not an export"), "{refused:?}");
    refused.with(2);
    assert_eq!(std::fs::read(&precious).unwrap(), b"SQLite format 3");
    // An existing export is replaced as a whole, and only its owner can read it.
    let mut export = built("order");
    export
        .arg("export")
        .arg(&file)
        .env("DATABASE_URL", new.url());
    Finished::by(export.env_remove("RUST_LOG")).with(0);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // An import without a file creates no database, and neither does an export without one.
    let missing = files.path().join("missing.db");
    let missing_url = format!("sqlite:{}", missing.display());
    let mut import = built("order");
    import
        .arg("import")
        .arg(files.path().join("nothing.jsonl"))
        .env("DATABASE_URL", &missing_url);
    let refused = Finished::by(import.env_remove("RUST_LOG"));
    assert!(refused.err.contains("nothing.jsonl"), "{refused:?}");
    refused.with(2);
    assert!(!missing.exists());
    let mut export = built("order");
    export
        .arg("export")
        .arg(&file)
        .env("DATABASE_URL", &missing_url);
    let refused = Finished::by(export.env_remove("RUST_LOG"));
    assert!(refused.err.contains("there is no database"), "{refused:?}");
    refused.with(2);
    assert!(!missing.exists());

    // A value that no export can hold is named. (PostgreSQL has none in these columns.)
    if !is_postgres(new.url()) {
        let damage = "UPDATE customers SET name = x'ff' WHERE id = 2";
        harness::tables::run(new.url(), damage).await;
        let mut export = built("order");
        let copy = files.path().join("damaged.jsonl");
        export.arg("export").arg(&copy);
        let refused = Finished::by(export.env("DATABASE_URL", new.url()).env_remove("RUST_LOG"));
        assert!(
            refused.err.contains("row 2 of customers cannot be read"),
            "{refused:?}"
        );
        refused.with(2);
    }
}
