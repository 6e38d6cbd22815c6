// An accountant: a bill for each order in a feed, once, whatever dies.
//
// DATABASE_URL=postgres://bills@localhost/bills FEED_URL=http://127.0.0.1:8081/feed node consumer.mjs

import pg from "pg";

const HEADERS = { Accept: "application/cloudevents-batch+json", Prefer: "wait=20" };
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
  CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL, sequence BIGINT NOT NULL);
  CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT)`;

// PostgreSQL reads the JSON: numbers keep their digits, and what jsonb refuses fails in `bill`, for one event alone.
const EVENTS = `
  SELECT event ->> 'id' AS id, event ->> 'type' AS type, event ->> 'sequence' AS sequence, (event -> 'data')::text AS data
  FROM json_array_elements($1::json) WITH ORDINALITY AS batch (event, place) ORDER BY place`;

// The feed's address is stored and logged. User and password in the URL are only sent.
const url = new URL(process.env.FEED_URL);
if (url.search) {
  console.error("FEED_URL has a query, and this takes the whole feed: write the address without `?` and what follows");
  process.exit(1);
}
if (url.username) {
  const user = decodeURIComponent(`${url.username}:${url.password}`);
  HEADERS.Authorization = `Basic ${Buffer.from(user).toString("base64")}`;
}
url.username = url.password = "";
const FEED = url.href;

// Returns the events after the cursor, as JSON, and the cursor after them. The feed does not redirect; who answers elsewhere is
// another one. `fetch` itself gives up after five minutes without a byte.
async function ask(cursor) {
  const answer = await fetch(`${FEED}?after=${cursor}`, { headers: HEADERS, redirect: "error" });
  if (answer.status === 410) {
    console.error(`the feed is not the one that was read: ${await answer.text()}`);
    process.exit(1);
  }
  if (!answer.ok) {
    // In seconds, as the feed writes it; an hour at most.
    const later = Math.min(Number(answer.headers.get("retry-after")) || 0, 3600);
    throw Object.assign(new Error(`${FEED} answered ${answer.status}`), { later });
  }
  // A NUL in a string is JSON, but no text of PostgreSQL. A backslash before `u0000` that is escaped itself is none.
  const batch = (await answer.text()).replaceAll("\\\\", "\\u005c").replaceAll("\\u0000", "\\ufffd");
  return [batch, answer.headers.get("feed-cursor")];
}

// The part that you replace.
async function bill(db, event) {
  if (event.type === "order.placed") {
    const order = "SELECT * FROM jsonb_to_record($1::jsonb) AS data (id BIGINT, cents BIGINT)";
    await db.query(`INSERT INTO bill ${order}`, [event.data]);
  }
}

// For a person to look at.
async function keep(db, event, reason) {
  console.error(`event ${event} failed: ${reason}`);
  const failed = "INSERT INTO feed_claim VALUES ($1, $2) ON CONFLICT (event) DO UPDATE SET failed = excluded.failed";
  await db.query(failed, [event, reason]);
}

// An event that cannot be billed stops no other one.
async function billOrKeep(db, event) {
  await db.query("SAVEPOINT event");
  try {
    await bill(db, event);
  } catch (error) {
    // The database refuses it (SQLSTATE 22 and 23). Anything else may pass.
    if (!/^2[23]/.test(error.code)) throw error;
    await db.query("ROLLBACK TO event");
    await keep(db, event.id, error.message);
  }
}

// Claims, effects and the new cursor are one transaction. Another process may have taken the same events.
async function take(db) {
  const { rows } = await db.query("SELECT cursor, sequence FROM feed_cursor WHERE feed = $1", [FEED]);
  const [batch, cursor] = await ask(rows[0].cursor);
  let last = Number(rows[0].sequence);
  await db.query("BEGIN");
  for (const event of (await db.query(EVENTS, [batch])).rows) {
    const sequence = Number(event.sequence); // as text, "10" would come before "9"
    if (sequence > last + 1) await keep(db, `${last + 1} to ${sequence - 1}`, "the feed has left it out");
    last = sequence;
    const claim = "INSERT INTO feed_claim VALUES ($1) ON CONFLICT DO NOTHING";
    if ((await db.query(claim, [event.id])).rowCount === 1) await billOrKeep(db, event);
  }
  await db.query("UPDATE feed_cursor SET cursor = $1, sequence = $2 WHERE feed = $3", [cursor, last, FEED]);
  await db.query("COMMIT");
}

for (let pause = 500, later; ; pause = Math.min(2 * pause, 30_000)) {
  later = 0;
  const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
  db.on("error", () => {}); // the next query reports it, too
  try {
    await db.connect();
    await db.query(SCHEMA);
    await db.query("INSERT INTO feed_cursor VALUES ($1, 'start', 0) ON CONFLICT DO NOTHING", [FEED]);
    for (;;) {
      await take(db);
      pause = 500;
    }
  } catch (error) {
    console.error(`${error.message}; trying again`);
    later = error.later ?? 0;
  }
  await db.end().catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, Math.max(pause, 1000 * later)));
}
