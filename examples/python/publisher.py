"""A shop: each order is a row, and an event in the same transaction.

DATABASE_URL=postgres://shop@localhost/shop python3 publisher.py 1 100
"""

import json
import os
import sys

import psycopg


def place(db, order, cents):
    """Both are there, or neither. The order is new only once, however often this is called."""
    with db.transaction():
        new = db.execute(
            "INSERT INTO purchase (id, cents) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id", (order, cents)
        ).fetchone()
        if new:
            db.execute(
                "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', %s, %s)",
                (f"order/{order}", json.dumps({"id": order, "cents": cents})),
            )


def main(first, last):
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        db.execute("CREATE TABLE IF NOT EXISTS purchase (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)")
        for order in range(first, last + 1):
            place(db, order, 100 * order)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
