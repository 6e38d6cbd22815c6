//! Programs in the place of our services. `feed serve` publishes what a shop writes, ours or one in Python. `feed deliver`
//! applies it by SQL, to tables like those of our consumers, or sends it to a webhook; a consumer in JavaScript applies it to
//! a table of its own.

use std::path::Path;
use std::sync::Arc;

use harness::tables::{is_postgres, run};
use harness::{Cluster, FreshDatabase, programs};

/// An order that cannot be applied has no lines.
const SHIPMENTS: &str = "
    CREATE TABLE shipment (order_id BIGINT PRIMARY KEY, cause TEXT NOT NULL, status TEXT NOT NULL, lines INTEGER NOT NULL);
    CREATE TABLE shipment_line (order_id BIGINT NOT NULL)";

const SHIPMENTS_BY_FUNCTION: &str = "
    CREATE FUNCTION on_event(event jsonb) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := event -> 'data' ->> 'id';
        lines  JSONB  := event -> 'data' -> 'orderLine';
    BEGIN
        CASE event ->> 'type'
        WHEN 'order.placed' THEN
            INSERT INTO shipment VALUES (number, 'urn:uuid:' || (event ->> 'id'), 'pending', jsonb_array_length(lines));
            INSERT INTO shipment_line SELECT number FROM jsonb_array_elements(lines);
        WHEN 'order.cancelled' THEN
            UPDATE shipment SET status = 'stopped' WHERE order_id = number;
        ELSE
            RETURN 'a type that we do not know';
        END CASE;
        RETURN NULL;
    END $$";

const SHIPMENTS_BY_STATEMENTS: &str = "
    INSERT INTO shipment
    SELECT :data ->> 'id', 'urn:uuid:' || :id, 'pending', json_array_length(:data, '$.orderLine') WHERE :type = 'order.placed';
    INSERT INTO shipment_line
    SELECT :data ->> 'id' FROM json_each(:data, '$.orderLine') WHERE :type = 'order.placed';
    UPDATE shipment SET status = 'stopped' WHERE :type = 'order.cancelled' AND order_id = :data ->> 'id'";

/// An order that cannot be applied has no amount.
const INVOICES: &str = "
    CREATE TABLE invoice (order_id BIGINT PRIMARY KEY, cause TEXT NOT NULL, status TEXT NOT NULL, total_cents BIGINT NOT NULL);
    CREATE TABLE invoice_line (order_id BIGINT NOT NULL, count BIGINT NOT NULL, price_cents BIGINT NOT NULL)";

const INVOICES_BY_STATEMENTS: &str = "
    INSERT INTO invoice
    SELECT (:data ->> 'id')::bigint, 'urn:uuid:' || :id, 'issued', (:data ->> 'cents')::bigint WHERE :type = 'order.placed';
    INSERT INTO invoice_line
    SELECT (:data ->> 'id')::bigint, (line ->> 'count')::bigint, 100 * (line -> 'item' ->> 'price')::numeric
    FROM jsonb_array_elements(:data -> 'orderLine') AS line WHERE :type = 'order.placed';
    UPDATE invoice SET status = 'credited' WHERE :type = 'order.cancelled' AND order_id = (:data ->> 'id')::bigint";

/// Lets `feed deliver` do the work of this consumer, whose database is empty.
pub(crate) async fn delivers(cluster: &mut Cluster, directory: &Path) {
    let url = cluster.database.url();
    if let Some(file) = url.strip_prefix("sqlite:") {
        std::fs::File::create(file).unwrap();
    }
    let (tables, statements) = match cluster.service {
        "invoice" => (INVOICES, Some(INVOICES_BY_STATEMENTS)),
        _ if is_postgres(url) => (SHIPMENTS, None),
        _ => (SHIPMENTS, Some(SHIPMENTS_BY_STATEMENTS)),
    };
    run(url, tables).await;
    let file = directory.join(format!("{}.sql", cluster.service));
    let how = if let Some(statements) = statements {
        std::fs::write(&file, statements).unwrap();
        let types = "order.placed,order.cancelled";
        vec!["--type", types, "--sql", file.to_str().unwrap()]
    } else {
        run(url, SHIPMENTS_BY_FUNCTION).await;
        vec!["--call", "on_event"]
    };
    let program = ["feed", "deliver"].into_iter().chain(how);
    cluster.program = program.map(str::to_owned).collect();
}

/// `feed serve` for the outbox of this service.
pub(crate) fn serves(order: &Cluster) -> Cluster {
    let mut cluster = Cluster::new("feed", Arc::clone(&order.database), &order.feed_url);
    cluster.program.push("serve".to_owned());
    cluster
}

/// `feed deliver` to this webhook.
pub(crate) fn sends(database: FreshDatabase, feed_url: &str, to: &str) -> Cluster {
    let mut cluster = Cluster::new("webhook", database, feed_url);
    cluster.program = ["feed", "deliver", "--to", to].map(str::to_owned).into();
    cluster
}

/// Lets a shop in Python take the orders.
pub(crate) fn takes_orders(cluster: &mut Cluster) {
    let python = programs::tool("python3").expect("the plan has found it");
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/shop.py");
    cluster.program = [Path::new(python.get_program()), &shop]
        .map(|path| path.display().to_string())
        .into();
}

/// `examples/javascript/consumer.mjs`, which makes its own tables: a copy in `directory`, beside the libraries that it needs.
pub(crate) fn bills(directory: &Path, database: FreshDatabase, feed_url: &str) -> Cluster {
    let libraries = programs::installed("javascript").expect("the plan has found them");
    let beside = directory.join("node_modules");
    std::os::unix::fs::symlink(libraries.join("node_modules"), beside).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/javascript/consumer.mjs");
    let consumer = directory.join("consumer.mjs");
    std::fs::copy(example, &consumer).unwrap();
    let mut cluster = Cluster::new("bills", database, feed_url);
    cluster.program = ["/usr/bin/env", "node", &consumer.display().to_string()]
        .map(str::to_owned)
        .into();
    cluster
}
