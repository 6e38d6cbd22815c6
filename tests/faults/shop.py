"""A shop without a line of Rust, which tests put under faults: an order is a row, and an event in the same transaction.

It takes `POST /orders`, `DELETE /order/1` and `GET /health/ready`. `feed serve` publishes its orders.

DATABASE_URL=postgres://shop@localhost/shop LISTEN=127.0.0.1:8080 python3 shop.py
"""

import contextlib
import json
import os
import queue
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

SCHEMA = """
SELECT pg_advisory_xact_lock(1); -- one instance at a time
CREATE TABLE IF NOT EXISTS orders (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, idempotency_key TEXT UNIQUE,
    status TEXT NOT NULL DEFAULT 'placed', shipping_street TEXT NOT NULL,
    total_cents BIGINT NOT NULL, number_of_lines INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS order_line (order_id BIGINT REFERENCES orders, item INTEGER, count INTEGER);
"""
PLACE = """
INSERT INTO orders (idempotency_key, shipping_street, total_cents, number_of_lines) VALUES (%s, %s, %s, %s)
ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
"""
CENTS = {1: 4999, 2: 2100, 3: 12050, 4: 8600}  # the price of each item
IDLE = queue.SimpleQueue()  # connections to the database


@contextlib.contextmanager
def transaction():
    """A connection that fails is not used again."""
    try:
        db = IDLE.get_nowait()
    except queue.Empty:
        db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    try:
        with db.transaction():
            yield db
    except BaseException:
        db.close()
        raise
    IDLE.put(db)


def publish(db, kind, order, data):
    event = (kind, f"order/{order}", json.dumps({"id": order, **data}))
    db.execute("INSERT INTO feed_outbox (event_type, subject, data) VALUES (%s, %s, %s)", event)


def place(db, order, key):
    """A request with the same key is the same order."""
    lines = [(line["item"], line["count"]) for line in order["orderLine"]]
    cents = sum(CENTS[item] * count for item, count in lines)
    new = db.execute(PLACE, (key, order["shippingAddress"]["street"], cents, len(lines))).fetchone()
    if not new:
        known = db.execute("SELECT id FROM orders WHERE idempotency_key = %s", (key,)).fetchone()
        return 200, {"id": known[0]}
    for item, count in lines:
        db.execute("INSERT INTO order_line VALUES (%s, %s, %s)", (new[0], item, count))
    sold = [{"item": {"id": item, "price": CENTS[item] / 100}, "count": count} for item, count in lines]
    publish(db, "order.placed", new[0], {"cents": cents, "orderLine": sold})
    return 201, {"id": new[0]}


def cancel(db, order):
    """Only the first request changes the order."""
    change = "UPDATE orders SET status = 'cancelled' WHERE id = %s AND status = 'placed'"
    if db.execute(change, (order,)).rowcount == 1:
        publish(db, "order.cancelled", order, {})
    elif not db.execute("SELECT FROM orders WHERE id = %s", (order,)).rowcount:
        return 404, {}
    return 200, {"id": order}


class Shop(BaseHTTPRequestHandler):
    timeout = 10  # seconds without a byte of a request

    def do_POST(self):
        order = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(lambda db: place(db, json.loads(order), self.headers["Idempotency-Key"]))

    def do_DELETE(self):
        self.answer(lambda db: cancel(db, int(self.path.removeprefix("/order/"))))

    def do_GET(self):
        self.answer(lambda db: (200, {"ready": db.execute("SELECT 1").rowcount == 1}))

    def answer(self, work):
        """The answer is known once the transaction is committed."""
        try:
            with transaction() as db:
                status, body = work(db)
        except (LookupError, TypeError, ValueError) as error:
            status, body = 400, {"title": repr(error)}
        except psycopg.Error as error:
            # It may be committed all the same: the client does not know, and asks again with its key.
            status, body = 503, {"title": repr(error)}
            self.log_error("%r", error)
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # it ends after the answers to all requests
    request_queue_size = 100


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with transaction() as db:
        db.execute(SCHEMA)
    host, port = os.environ["LISTEN"].split(":")
    with Server((host, int(port)), Shop) as server:
        server.serve_forever()
