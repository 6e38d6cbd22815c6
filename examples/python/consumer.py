"""An accountant: a bill for each order in a feed, once, whatever dies.

DATABASE_URL=postgres://bills@localhost/bills FEED_URL=http://127.0.0.1:8081/feed python3 consumer.py
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

import psycopg

HEADERS = {"Accept": "application/cloudevents-batch+json", "Prefer": "wait=20"}
SCHEMA = """
CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT);
"""


class Stay(urllib.request.HTTPRedirectHandler):
    """The feed does not redirect; who answers elsewhere is another one."""

    def redirect_request(self, *_):
        return None


FEED = urllib.request.build_opener(Stay)


def ask(feed, cursor):
    """Returns the events after the cursor, and the cursor after them."""
    request = urllib.request.Request(f"{feed}?after={cursor}", headers=HEADERS)
    with FEED.open(request, timeout=60) as answer:
        return json.load(answer), answer.headers["Feed-Cursor"]


def bill(db, event):
    """The part that you replace."""
    if event["type"] == "order.placed":
        # PostgreSQL refuses what is missing or no number. A NUL in a string is JSON, but no text of PostgreSQL.
        order = "SELECT * FROM jsonb_to_record(%s::jsonb) AS data (id BIGINT, cents BIGINT)"
        data = json.dumps(event["data"]).replace("\\u0000", "\\ufffd")
        db.execute(f"INSERT INTO bill {order}", (data,))


def take(db, feed):
    """Claims, effects and the new cursor are one transaction. Another process may have taken the same events."""
    [cursor] = db.execute("SELECT cursor FROM feed_cursor WHERE feed = %s", (feed,)).fetchone()
    events, cursor = ask(feed, cursor)
    with db.transaction():
        for event in events:
            claim = "INSERT INTO feed_claim VALUES (%s) ON CONFLICT DO NOTHING"
            if db.execute(claim, (event["id"],)).rowcount == 1:
                try:
                    with db.transaction():
                        bill(db, event)
                except (LookupError, TypeError, psycopg.DataError, psycopg.IntegrityError) as error:
                    print(f"event {event['id']} failed: {error!r}", file=sys.stderr)
                    db.execute("UPDATE feed_claim SET failed = %s WHERE event = %s", (repr(error), event["id"]))
        db.execute("UPDATE feed_cursor SET cursor = %s WHERE feed = %s", (cursor, feed))


def main(feed):
    pause = 0.5
    while True:
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
                db.execute(SCHEMA)
                db.execute("INSERT INTO feed_cursor VALUES (%s, 'start') ON CONFLICT DO NOTHING", (feed,))
                while True:
                    take(db, feed)
                    pause = 0.5
        except urllib.error.HTTPError as error:
            if error.code == 410:
                sys.exit(f"the feed is not the one that was read: {error.read().decode()}")
            print(f"{error}; trying again", file=sys.stderr)
        except (OSError, http.client.HTTPException, ValueError, psycopg.Error) as error:
            print(f"{error}; trying again", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, 30)


if __name__ == "__main__":
    main(os.environ["FEED_URL"])
