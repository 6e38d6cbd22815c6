// A shop: each order is a row, and an event in the same transaction.
//
// DATABASE_URL=postgres://shop@localhost/shop node publisher.mjs 1 100

import pg from "pg";

// Both are there, or neither. The order is new only once, however often this is called.
async function place(db, order, cents) {
  await db.query("BEGIN");
  try {
    const placed = await db.query(
      "INSERT INTO purchase (id, cents) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id",
      [order, cents],
    );
    if (placed.rowCount === 1) {
      await db.query(
        "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', $1, $2)",
        [`order/${order}`, JSON.stringify({ id: order, cents })],
      );
    }
    await db.query("COMMIT");
  } catch (error) {
    // Or the next order would commit this one. Without a connection, the database has done it.
    await db.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

const [first, last] = process.argv.slice(2).map(Number);
const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
await db.connect();
await db.query("CREATE TABLE IF NOT EXISTS purchase (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)");
for (let order = first; order <= last; order++) {
  await place(db, order, 100 * order);
}
await db.end();
