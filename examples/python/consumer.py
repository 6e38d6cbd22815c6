"""An accountant: a bill for each order in a feed, once, whatever dies.

DATABASE_URL=postgres://bills@localhost/bills FEED_URL=http://127.0.0.1:8081/feed python3 consumer.py
"""

import base64
import http.client
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg

HEADERS = {"Accept": "application/cloudevents-batch+json", "Prefer": "wait=20"}
SCHEMA = """
CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL, sequence BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT);
"""
# PostgreSQL reads the JSON: numbers keep their digits, and what jsonb refuses fails in `bill`, for one event alone. A sequence is
# a number, as text: "9" comes before "10".
EVENTS = """
SELECT event ->> 'id', event ->> 'type', (event ->> 'sequence')::bigint, (event -> 'data')::text
FROM json_array_elements(%s::json) WITH ORDINALITY AS batch (event, place) ORDER BY place
"""


class Stay(urllib.request.HTTPRedirectHandler):
    """The feed does not redirect; who answers elsewhere is another one."""

    def redirect_request(self, *_):
        return None


FEED = urllib.request.build_opener(Stay)


def address(url):
    """The feed's address, which is stored and logged. User and password in the URL are only sent."""
    parts = urllib.parse.urlsplit(url)
    if parts.query:
        sys.exit("FEED_URL has a query, and this takes the whole feed: write the address without `?` and what follows")
    if parts.username:
        user = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        HEADERS["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def ask(feed, cursor):
    """Returns the events after the cursor, as JSON, and the cursor after them. A minute without a byte is a failure."""
    request = urllib.request.Request(f"{feed}?after={cursor}", headers=HEADERS)
    with FEED.open(request, timeout=60) as answer:
        # A NUL in a string is JSON, but no text of PostgreSQL. A backslash before `u0000` that is escaped itself is none.
        batch = answer.read().decode().replace(r"\\", r"\u005c").replace(r"\u0000", r"\ufffd")
        return batch, answer.headers["Feed-Cursor"]


def bill(db, kind, data):
    """The part that you replace. PostgreSQL refuses what is missing or no number."""
    if kind == "order.placed":
        db.execute("INSERT INTO bill SELECT * FROM jsonb_to_record(%s::jsonb) AS data (id BIGINT, cents BIGINT)", (data,))


def keep(db, event, reason):
    """For a person to look at."""
    print(f"event {event} failed: {reason}", file=sys.stderr)
    failed = "INSERT INTO feed_claim VALUES (%s, %s) ON CONFLICT (event) DO UPDATE SET failed = excluded.failed"
    db.execute(failed, (event, reason))


def take(db, feed):
    """Claims, effects and the new cursor are one transaction. Another process may have taken the same events."""
    cursor, last = db.execute("SELECT cursor, sequence FROM feed_cursor WHERE feed = %s", (feed,)).fetchone()
    batch, cursor = ask(feed, cursor)
    with db.transaction():
        for event, kind, sequence, data in db.execute(EVENTS, (batch,)).fetchall():
            if sequence > last + 1:
                keep(db, f"{last + 1} to {sequence - 1}", "the feed has left it out")
            last = sequence
            if db.execute("INSERT INTO feed_claim VALUES (%s) ON CONFLICT DO NOTHING", (event,)).rowcount == 1:
                try:
                    with db.transaction():
                        bill(db, kind, data)
                except (LookupError, TypeError, ValueError, psycopg.DataError, psycopg.IntegrityError) as error:
                    keep(db, event, repr(error))
        db.execute("UPDATE feed_cursor SET cursor = %s, sequence = %s WHERE feed = %s", (cursor, last, feed))


def main(feed):
    pause = 0.5
    while True:
        later = 0
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
                db.execute(SCHEMA)
                db.execute("INSERT INTO feed_cursor VALUES (%s, 'start', 0) ON CONFLICT DO NOTHING", (feed,))
                while True:
                    take(db, feed)
                    pause = 0.5
        except urllib.error.HTTPError as error:
            if error.code == 410:
                sys.exit(f"the feed is not the one that was read: {error.read().decode()}")
            print(f"{error}; trying again", file=sys.stderr)
            # In seconds, as the feed writes it; an hour at most.
            asked = error.headers.get("Retry-After", "")
            later = min(int(asked), 3600) if asked.isdecimal() else 0
        except (OSError, http.client.HTTPException, ValueError, psycopg.Error) as error:
            print(f"{error}; trying again", file=sys.stderr)
        time.sleep(max(pause, later))
        pause = min(2 * pause, 30)


if __name__ == "__main__":
    main(address(os.environ["FEED_URL"]))
