//! A feed with a past: events as the order service would have published them, written by SQL alone,
//! since a million orders by HTTP take longer than all else here.

use anyhow::Result;
use sqlx::{Executor, PgPool};

/// Fills an empty feed with so many events. Each is about an order of its own; the bytes are those
/// of `http::new_order`.
pub(crate) async fn load(pool: &PgPool, events: i64) -> Result<()> {
    sqlx::query(
        r#"INSERT INTO feed_event (id, sequence, event_type, subject, time, updated,
                                   title, summary, link, data)
           SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3)
                       || '8' || substr(md5(n::text), 4, 15))::uuid,
                  n, 'order.placed', 'order/' || n, at, at,
                  'Order ' || n || ' placed: 2 lines, 184.00 EUR',
                  'Order ' || n || ' was placed with 2 lines for a total of 184.00 EUR.',
                  'order/' || n,
                  '{"id":' || n || ',"customer":{"customerId":1,"name":"Wolff","firstname":"Eberhard",'
                  || '"email":"eberhard.wolff@example.com"},"updated":"2026-01-01T00:00:00.000Z",'
                  || '"shippingAddress":{"street":"Main Street 1","zip":"10115","city":"Berlin"},'
                  || '"billingAddress":{"street":"Side Street 2","zip":"20095","city":"Hamburg"},'
                  || '"orderLine":[{"count":2,"item":{"itemId":1,"name":"iPod","price":42.00}},'
                  || '{"count":1,"item":{"itemId":4,"name":"Apple TV","price":100.00}}],'
                  || '"numberOfLines":2,"status":"placed","total":184.00,"currency":"EUR",'
                  || '"_links":{"self":{"href":"http://127.0.0.1:8081/order/' || n || '"}}}'
           FROM generate_series(1, $1) AS n,
                LATERAL (SELECT timestamptz '2026-01-01' + n * interval '10 ms' AS at) AS clock"#,
    )
    .bind(events)
    .execute(pool)
    .await?;
    pool.execute(
        "UPDATE feed_head
         SET sequence = newest.sequence, anchor = newest.id, updated = newest.updated,
             closed_sequence = newest.sequence,
             closed_until = date_trunc('second', newest.updated) + interval '2 seconds'
         FROM (SELECT * FROM feed_event ORDER BY sequence DESC LIMIT 1) AS newest;
         SELECT setval(pg_get_serial_sequence('orders', 'id'),
                       (SELECT sequence FROM feed_head));",
    )
    .await?;
    // As it would be after a while; otherwise the first reader would pay for all.
    pool.execute("VACUUM ANALYZE feed_event").await?;
    pool.execute("CHECKPOINT").await?;
    Ok(())
}
