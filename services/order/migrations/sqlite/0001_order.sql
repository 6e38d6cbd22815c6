-- What the order service owns. Money is whole cents of EUR.
-- Instants are RFC 3339 in UTC with milliseconds: their order as text is their order in time.
-- AUTOINCREMENT: the id of a row that is gone is never given to another one.

-- Who orders.
CREATE TABLE customers (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT    NOT NULL, -- family name
    firstname TEXT    NOT NULL, -- given name
    email     TEXT    NOT NULL  -- where the shop writes to
);

-- What can be ordered, at today's name and price.
CREATE TABLE items (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL, -- as a customer reads it
    -- The price of one piece. At most a million EUR: the total of a thousand lines of a million
    -- pieces each is then still a 64-bit number.
    price_cents INTEGER NOT NULL CHECK (price_cents BETWEEN 0 AND 100000000)
);

-- An order as it was sold. It copies the customer and has no foreign key to them: what becomes of
-- a customer later touches no order, and many orders of one customer share no lock.
CREATE TABLE orders (
    id                 INTEGER     PRIMARY KEY AUTOINCREMENT,
    status             TEXT        NOT NULL CHECK (status IN ('placed', 'cancelled')),
    placed             TEXT        NOT NULL, -- when it was placed
    updated            TEXT        NOT NULL, -- when it last changed; never goes back
    customer_id        INTEGER     NOT NULL, -- the customer it was sold to
    customer_name      TEXT        NOT NULL, -- their family name then
    customer_firstname TEXT        NOT NULL, -- their given name then
    customer_email     TEXT        NOT NULL, -- their address for e-mail then
    shipping_street    TEXT        NOT NULL, -- where the goods go: street and number
    shipping_zip       TEXT        NOT NULL,
    shipping_city      TEXT        NOT NULL,
    billing_street     TEXT        NOT NULL, -- where the invoice goes: street and number
    billing_zip        TEXT        NOT NULL,
    billing_city       TEXT        NOT NULL,
    number_of_lines    INTEGER     NOT NULL, -- in order_line, so that a list need not count
    total_cents        INTEGER     NOT NULL  -- sum of count * price_cents of the lines
);

-- The lines of an order, with item and price as sold; no foreign key to items, for the same reason.
CREATE TABLE order_line (
    order_id    INTEGER NOT NULL REFERENCES orders (id),
    line        INTEGER NOT NULL,                   -- 1, 2, 3 … in the order they were given
    count       INTEGER NOT NULL CHECK (count > 0), -- how many pieces
    item_id     INTEGER NOT NULL,                   -- the item that was sold
    item_name   TEXT    NOT NULL,                   -- its name then
    price_cents INTEGER NOT NULL,                   -- the price of one piece then
    PRIMARY KEY (order_id, line)
);

-- Requests that named themselves by an Idempotency-Key, so that one that is repeated places no
-- second order. Written in the transaction of the order.
CREATE TABLE idempotency_key (
    key         TEXT    PRIMARY KEY,           -- as the client sent it
    fingerprint INTEGER NOT NULL,              -- hash of the body: another body is another request
    order_id    INTEGER REFERENCES orders (id) -- what it placed; NULL only inside that transaction
);

INSERT INTO customers (firstname, name, email) VALUES
    ('Eberhard', 'Wolff', 'eberhard.wolff@example.com'),
    ('Rod', 'Johnson', 'rod.johnson@example.com');

INSERT INTO items (name, price_cents) VALUES
    ('iPod', 4200),
    ('iPod touch', 2100),
    ('iPod nano', 100),
    ('Apple TV', 10000);
