"""A consumer of the order service in Python's standard library: it needs no crate of ours.

    python3 tests/consumer.py http://127.0.0.1:8081/feed ledger.db

It keeps a ledger in SQLite: what was sold, and what was cancelled. Kill it at any moment and start
it again, or start it twice: each event is booked once, since the claim of an event, its effect and
the place in the feed are committed together.
"""

import json
import random
import sqlite3
import sys
import time
from decimal import Decimal
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener
from xml.etree import ElementTree

TABLES = """
CREATE TABLE IF NOT EXISTS claim  (event TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS ledger (number INTEGER PRIMARY KEY, subject TEXT, cents INTEGER);
CREATE TABLE IF NOT EXISTS place  (feed TEXT PRIMARY KEY, cursor TEXT, sequence INTEGER);
CREATE TABLE IF NOT EXISTS missed (event TEXT PRIMARY KEY, reason TEXT);
"""
ATOM = "{http://www.w3.org/2005/Atom}"
EVENT = "{urn:uuid:2f6f2a3e-8f3c-4c0e-9d64-6c1d0f0e5a71}"
CURSOR = EVENT + "cursor"
# What `book` raises because of an event's data, and would raise again. sqlite3 raises the last two for a type that it cannot store.
ABOUT_DATA = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError,
              sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def book(db, event):
    """The effect: it runs inside the transaction, and uses only `db`."""
    sign = {"order.placed": 1, "order.cancelled": -1}.get(event["type"])
    if sign is not None:  # types that we do not know may come one day
        cents = sign * int(event["data"]["total"] * 100)
        db.execute("INSERT INTO ledger (subject, cents) VALUES (?, ?)", (event["subject"], cents))


class WithinFeed(HTTPRedirectHandler):
    """Who answers at another origin is another feed."""

    def redirect_request(self, request, file, code, message, headers, url):
        if urlsplit(url)[:2] != urlsplit(request.full_url)[:2]:
            raise OSError(f"the feed redirects to {url}")
        return super().redirect_request(request, file, code, message, headers, url)


FEED = build_opener(WithinFeed)


def get(url, headers={}):
    """The body of an answer and its ETag; no body if nothing is new. Follows redirects within the feed."""
    try:
        with FEED.open(Request(url, headers=headers), timeout=60) as answer:
            return answer.read(), answer.headers["ETag"]
    except HTTPError as error:
        if error.code == 304:
            return None, None
        raise


def read(url, headers={}):
    """JSON, or None where a 404 says that there is none."""
    try:
        return json.loads(get(url, headers)[0], parse_float=Decimal)
    except HTTPError as error:
        if error.code == 404:
            return None
        raise


def link(document, rel):
    """Where a link of a document leads, if it has one."""
    found = document.find(ATOM + "link[@rel='" + rel + "']")
    return None if found is None else found.get("href")


def sequence(entry):
    return int(entry.findtext(EVENT + "sequence"))


def events_of(feed, document, last):
    """The events of a document after `last`, in sequence: id, and the event, or None if its data cannot be read."""
    batch, known = link(document, "related"), {}
    # Links begin with the service's public address; ours may be another one.
    public = link(document, "current").removesuffix("feed")
    here = lambda url: feed.removesuffix("feed") + url.removeprefix(public)
    if batch:
        known = {event["id"]: event for event in read(here(batch)) or ()}  # none if it would be too large
    for entry in sorted(document.findall(ATOM + "entry"), key=sequence):
        if sequence(entry) <= last:
            continue
        last += 1
        if sequence(entry) != last:  # what a document leaves out comes later
            raise OSError(f"event {last} is missing before event {sequence(entry)}")
        event = entry.findtext(ATOM + "id").removeprefix("urn:uuid:")
        if event not in known:  # it would spoil the batch for others, or its publisher has to correct it
            address = here(entry.find(ATOM + "content").get("src"))
            known[event] = read(address, {"Accept": "application/cloudevents+json"})
        yield event, known[event]


def take(db, feed, last, document):
    """Commits the effects of a document's events together with their claims and the cursor."""
    events = list(events_of(feed, document, last))
    with db:  # one transaction
        for event, content in events:
            if content is None:
                miss(db, event, "no data")
            elif db.execute("INSERT OR IGNORE INTO claim VALUES (?)", (event,)).rowcount:
                db.execute("SAVEPOINT effect")
                try:
                    book(db, content)
                except ABOUT_DATA as error:  # it stops no other event, and leaves no half of an effect
                    db.execute("ROLLBACK TO effect")
                    miss(db, event, repr(error))
                db.execute("RELEASE effect")
        place = (feed, document.findtext(CURSOR), last + len(events))
        db.execute("REPLACE INTO place VALUES (?, ?, ?)", place)
    return len(events)


def miss(db, event, reason):
    """Not lost: a person asks for it again."""
    print(f"event {event}: {reason}", file=sys.stderr, flush=True)
    db.execute("INSERT OR IGNORE INTO missed VALUES (?, ?)", (event, reason))


def follow(db, feed):
    """Goes forward to the newest event, then waits at the head of the feed for newer ones."""
    etag = seen = None  # the head's ETag, and the cursor of the document it came with
    while True:
        place = db.execute("SELECT cursor, sequence FROM place WHERE feed = ?", (feed,)).fetchone()
        cursor, last = place or ("start", 0)
        # It redirects to the page that holds the next event, or is a document with the rest.
        document, _ = get(f"{feed}?after={cursor}")
        if take(db, feed, last, ElementTree.fromstring(document)):
            continue
        # Only a consumer that has committed all of a document may ask for what is newer than it.
        known = {"If-None-Match": etag} if seen == cursor else {}
        head, tag = get(feed, {"A-IM": "feed", "Prefer": "wait=20", **known})
        if head:
            etag, seen = tag, ElementTree.fromstring(head).findtext(CURSOR)
        if not head or (known and seen == cursor):
            time.sleep(1)  # nothing new, and yet an answer, perhaps at once: from a cache between us


feed, path = sys.argv[1:]
if urlsplit(feed).query:
    sys.exit("the feed's address has a query, and this takes the whole feed: write it without `?` and what follows")
db = sqlite3.connect(path)
db.executescript(TABLES)
while True:
    try:
        follow(db, feed)
    except (OSError, HTTPException, sqlite3.OperationalError) as error:
        if getattr(error, "code", None) == 410:  # it is another feed, or has gone back
            sys.exit(f"halted: {json.load(error)['detail']}")  # an operator decides how to continue
        print(f"{feed}: {error}", file=sys.stderr, flush=True)
        time.sleep(random.uniform(0.5, 2))
