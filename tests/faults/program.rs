//! The program `feed` in the place of a part of the shop: `feed serve` publishes what the order service writes, and
//! `feed deliver` applies it by SQL, to tables like those of the shipping service.

use std::path::Path;
use std::sync::Arc;

use harness::Cluster;
use harness::tables::{is_postgres, run};

/// An order that cannot be applied has no lines.
const TABLES: &str = "
    CREATE TABLE shipment (order_id BIGINT PRIMARY KEY, cause TEXT NOT NULL, status TEXT NOT NULL, lines INTEGER NOT NULL);
    CREATE TABLE shipment_line (order_id BIGINT NOT NULL)";

const FUNCTION: &str = "
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

const STATEMENTS: &str = "
    INSERT INTO shipment
    SELECT :data ->> 'id', 'urn:uuid:' || :id, 'pending', json_array_length(:data, '$.orderLine') WHERE :type = 'order.placed';
    INSERT INTO shipment_line
    SELECT :data ->> 'id' FROM json_each(:data, '$.orderLine') WHERE :type = 'order.placed';
    UPDATE shipment SET status = 'stopped' WHERE :type = 'order.cancelled' AND order_id = :data ->> 'id'";

/// Lets `feed deliver` do the work of this consumer, whose database is empty.
pub(crate) async fn delivers(cluster: &mut Cluster, directory: &Path) {
    let url = cluster.database.url();
    if let Some(file) = url.strip_prefix("sqlite:") {
        std::fs::File::create(file).unwrap();
    }
    run(url, TABLES).await;
    let how = if is_postgres(url) {
        run(url, FUNCTION).await;
        vec!["--call", "on_event"]
    } else {
        std::fs::write(directory.join("on_event.sql"), STATEMENTS).unwrap();
        vec!["--type", "order.placed,order.cancelled", "--sql"]
    };
    let mut program: Vec<String> = ["feed", "deliver"].map(str::to_owned).into();
    program.extend(how.into_iter().map(str::to_owned));
    if !is_postgres(url) {
        let file = directory.join("on_event.sql");
        program.push(file.to_str().unwrap().to_owned());
    }
    cluster.program = program;
}

/// `feed serve` for the outbox of this service.
pub(crate) fn serves(order: &Cluster) -> Cluster {
    let mut cluster = Cluster::new("feed", Arc::clone(&order.database), &order.feed_url);
    cluster.program.push("serve".to_owned());
    cluster
}
