// An accountant: a bill for each order in a feed, once, whatever dies.
//
// DATABASE_URL=postgres://bills@localhost/bills FEED_URL=http://127.0.0.1:8081/feed node consumer.mjs

import pg from "pg";

const FEED = process.env.FEED_URL;
const HEADERS = { Accept: "application/cloudevents-batch+json", Prefer: "wait=20" };
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
  CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT)`;

// PostgreSQL reads the JSON: numbers keep their digits. A NUL in a string is JSON, but no text of PostgreSQL.
const EVENTS = `
  SELECT event ->> 'id' AS id, event ->> 'type' AS type, (event -> 'data')::text AS data
  FROM jsonb_array_elements(replace($1, '\\u0000', '\\ufffd')::jsonb) WITH ORDINALITY AS batch (event, place) ORDER BY place`;

// Returns the events after the cursor, as text, and the cursor after them. The feed does not redirect; who answers elsewhere is
// another one.
async function ask(cursor) {
  const url = `${FEED}?after=${cursor}`;
  const answer = await fetch(url, { headers: HEADERS, redirect: "error", signal: AbortSignal.timeout(60_000) });
  if (answer.status === 410) {
    console.error(`the feed is not the one that was read: ${await answer.text()}`);
    process.exit(1);
  }
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return [await answer.text(), answer.headers.get("feed-cursor")];
}

// The part that you replace.
async function bill(db, event) {
  if (event.type === "order.placed") {
    const order = "SELECT * FROM jsonb_to_record($1::jsonb) AS data (id BIGINT, cents BIGINT)";
    await db.query(`INSERT INTO bill ${order}`, [event.data]);
  }
}

// An event that cannot be billed stops no other one.
async function billOrKeep(db, event) {
  await db.query("SAVEPOINT event");
  try {
    await bill(db, event);
  } catch (error) {
    // The database refuses it (SQLSTATE 22 and 23). Anything else may pass.
    if (!/^2[23]/.test(error.code)) throw error;
    console.error(`event ${event.id} failed: ${error.message}`);
    await db.query("ROLLBACK TO event");
    await db.query("UPDATE feed_claim SET failed = $2 WHERE event = $1", [event.id, error.message]);
  }
}

// Claims, effects and the new cursor are one transaction. Another process may have taken the same events.
async function take(db) {
  const { rows } = await db.query("SELECT cursor FROM feed_cursor WHERE feed = $1", [FEED]);
  const [events, cursor] = await ask(rows[0].cursor);
  await db.query("BEGIN");
  for (const event of (await db.query(EVENTS, [events])).rows) {
    const claim = "INSERT INTO feed_claim VALUES ($1) ON CONFLICT DO NOTHING";
    if ((await db.query(claim, [event.id])).rowCount === 1) await billOrKeep(db, event);
  }
  await db.query("UPDATE feed_cursor SET cursor = $1 WHERE feed = $2", [cursor, FEED]);
  await db.query("COMMIT");
}

for (let pause = 500; ; pause = Math.min(2 * pause, 30_000)) {
  const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
  db.on("error", () => {}); // the next query reports it, too
  try {
    await db.connect();
    await db.query(SCHEMA);
    await db.query("INSERT INTO feed_cursor VALUES ($1, 'start') ON CONFLICT DO NOTHING", [FEED]);
    for (;;) {
      await take(db);
      pause = 500;
    }
  } catch (error) {
    console.error(`${error.message}; trying again`);
  }
  await db.end().catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, pause));
}
