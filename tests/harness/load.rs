//! Events for consumers: orders as clients place them, and copies of them in bulk.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::tables::{is_postgres, number, run, texts};
use crate::{Backend, Client, Service, until};

/// An order service on PostgreSQL that answers, with an empty feed.
pub async fn order() -> Service {
    let mut order = Service::new("order", Backend::Postgres).await;
    order.set("RUST_LOG", "warn".to_owned());
    order.start().await;
    order
}

/// Orders that differ in customer, lines and counts.
#[must_use]
pub fn nth_order(n: u64) -> Value {
    let address = |street: &str| json!({"street": format!("{street} {n}"), "zip": format!("{:05}", n % 100_000), "city": "Berlin"});
    let lines: Vec<Value> = (0..1 + n % 4)
        .map(|line| json!({"item": 1 + (n + line) % 4, "count": 1 + (n * 7 + line) % 5}))
        .collect();
    json!({
        "customer": 1 + n % 2,
        "shippingAddress": address("Dock"),
        "billingAddress": address("Main Street"),
        "orderLine": lines,
    })
}

/// Places an order; returns its id if it was accepted.
pub async fn place(client: &Client, n: u64) -> Option<i64> {
    let answer = client.post_json("orders", &nth_order(n)).await?;
    (answer.status == 201).then(|| answer.json()["id"].as_i64())?
}

/// Places `count` orders, more at once than a service has connections; returns the status of each answer, 0
/// where there is none.
pub async fn place_at_once(client: &Client, count: u64) -> Vec<u16> {
    const AT_ONCE: usize = 32;
    let place = async |n| {
        let answer = client.post_json("orders", &nth_order(n)).await;
        answer.map_or(0, |answer| answer.status)
    };
    stream::iter((0..count).map(place))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Cancels an order.
///
/// # Panics
///
/// It is refused.
pub async fn cancel(client: &Client, id: i64) {
    let path = format!("order/{id}");
    if let Some(answer) = client.try_send("DELETE", &path, &[], "").await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Places `count` orders, eight at a time, and cancels every third of them right after.
///
/// # Panics
///
/// One of them is refused.
pub async fn place_many(client: &Client, count: u64) {
    const AT_ONCE: u64 = 8;
    let placing = (0..AT_ONCE).map(|first| {
        let client = client.clone();
        tokio::spawn(async move {
            for n in (first..count).step_by(AT_ONCE as usize) {
                let id = place(&client, n).await.expect("an order that is placed");
                if n % 3 == 0 {
                    cancel(&client, id).await;
                }
            }
        })
    });
    for placing in placing.collect::<Vec<_>>() {
        placing.await.expect("all are placed");
    }
}

/// Writes `count` copies of an order past the service, numbered from `first`, each with its lines and its event, in one
/// transaction. Without an order, nothing.
///
/// # Panics
///
/// The database refuses.
pub async fn copy_an_order(order_url: &str, first: i64, count: i64) {
    let own = ["id", "idempotency_key", "shipping_street", "status"];
    let orders = columns(order_url, "orders", &own).await;
    // The one that is copied may be cancelled; not every shop keeps the time.
    let values = orders.replace("updated", "placed");
    let lines = columns(order_url, "order_line", &["order_id"]).await;
    let last = first + count - 1;
    let copies = format!(
        "WITH RECURSIVE copy (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM copy WHERE n < {last}),
              placed AS (SELECT * FROM feed_event WHERE event_type = 'order.placed' AND data NOT LIKE '%poison%'
                         ORDER BY sequence LIMIT 1)"
    );
    let (begin, own_id, data) = match is_postgres(order_url) {
        true => (
            "BEGIN",
            "OVERRIDING SYSTEM VALUE",
            "jsonb_set(jsonb_set(data::jsonb, '{id}', to_jsonb(n)), '{shippingAddress,street}',
                       to_jsonb('Dock ' || n))::text",
        ),
        false => (
            "BEGIN IMMEDIATE",
            "",
            "json_set(data, '$.id', n, '$.shippingAddress.street', 'Dock ' || n)",
        ),
    };
    let sql = format!(
        "{begin};
         INSERT INTO orders (id, shipping_street, status, {orders}) {own_id}
         {copies}
         SELECT n, 'Dock ' || n, 'placed', {values} FROM orders, copy
         WHERE 'order/' || orders.id = (SELECT subject FROM placed);
         INSERT INTO order_line (order_id, {lines})
         {copies}
         SELECT n, {lines} FROM order_line, copy
         WHERE 'order/' || order_line.order_id = (SELECT subject FROM placed);
         INSERT INTO feed_outbox (event_type, subject, data)
         {copies}
         SELECT event_type, 'order/' || n, {data} FROM placed, copy ORDER BY n;
         COMMIT"
    );
    run(order_url, &sql).await;
}

/// The columns of a table but these, as a list.
async fn columns(url: &str, table: &str, without: &[&str]) -> String {
    let columns = match is_postgres(url) {
        true => format!(
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}'"
        ),
        false => format!("SELECT name FROM pragma_table_info('{table}')"),
    };
    let mut columns = texts(url, &columns).await;
    columns.retain(|name| !without.contains(&name.as_str()));
    columns.join(", ")
}

/// Writes `count` events past the service that are of an unknown type, and as many that cannot be
/// applied. Their orders are numbered from `first`.
///
/// # Panics
///
/// The database refuses.
pub async fn write_odd(order_url: &str, first: i64, count: i64) {
    let last = first + count - 1;
    let sql = format!(
        "INSERT INTO feed_outbox (id, event_type, subject, time, title, summary, link, data)
         SELECT gen_random_uuid(), 'order.painted', 'order/' || n, now(), 'Odd', 'Odd', 'order/' || n,
                jsonb_build_object('id', n)::text
         FROM generate_series({first}, {last}) AS n;
         INSERT INTO feed_outbox (id, event_type, subject, time, title, summary, link, data)
         SELECT gen_random_uuid(), 'order.placed', 'order/' || n, now(), 'Poison', 'Poison',
                'order/' || n, jsonb_build_object('id', n, 'poison', true)::text
         FROM generate_series({last} + 1, {last} + {count}) AS n;"
    );
    run(order_url, &sql).await;
}

/// Writes an erasure for each subject but one whose event cannot be applied, as [`write_odd`] wrote it. It has the same data, so
/// that a consumer that does not erase cannot apply it either.
///
/// # Panics
///
/// The database refuses.
pub async fn write_erasures(order_url: &str, first: i64, count: i64) {
    let (first, last) = (first + count, first + 2 * count - 2);
    let sql = format!(
        "INSERT INTO feed_outbox (id, event_type, subject, time, title, summary, link, data)
         SELECT gen_random_uuid(), 'order.erased', 'order/' || n, now(), 'Erased', 'Erased', 'order/' || n,
                jsonb_build_object('id', n, 'poison', true)::text
         FROM generate_series({first}, {last}) AS n"
    );
    run(order_url, &sql).await;
}

/// Places an order and copies its event until there are `count` orders; returns the newest sequence
/// when all of them are published.
///
/// # Panics
///
/// The database refuses.
pub async fn copy_orders(order: &Service, count: i64) -> i64 {
    place(&order.client, 0).await.expect("an order to copy");
    published(order).await;
    copy_more(order, 2, count).await
}

/// Copies the event of the first order for the orders `first` to `last`.
///
/// # Panics
///
/// The database refuses.
pub async fn copy_more(order: &Service, first: i64, last: i64) -> i64 {
    let sql = format!(
        "INSERT INTO feed_outbox (id, event_type, subject, time, title, summary, link, data)
         SELECT gen_random_uuid(), event_type, 'order/' || n, time, title, summary, 'order/' || n,
                jsonb_set(data::jsonb, '{{id}}', to_jsonb(n))::text
         FROM feed_event, generate_series({first}, {last}) AS n WHERE sequence = 1
         ORDER BY n"
    );
    run(order.database.url(), &sql).await;
    published(order).await
}

/// Waits until every event has its sequence; returns the newest one.
///
/// # Panics
///
/// One does not get it in time.
pub async fn published(order: &Service) -> i64 {
    let url = order.database.url();
    // On SQLite an event has its sequence when it commits.
    if is_postgres(url) {
        until("all events are published", async || {
            let unnumbered = "SELECT count(*) FROM feed_outbox";
            (number(url, unnumbered).await == 0).then_some(())
        })
        .await;
    }
    number(url, "SELECT sequence FROM feed_head").await
}
