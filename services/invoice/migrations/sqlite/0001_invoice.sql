-- What the invoice service owns. Money is whole cents. An invoice is never deleted, and once it is
-- written nothing of it changes but that it is credited.
-- Instants are RFC 3339 in UTC with milliseconds, so that their order as text is their order in time.

CREATE TABLE invoice (
    order_id           INTEGER PRIMARY KEY, -- the order it is for: no order has two (I5)
    year               INTEGER NOT NULL,    -- with `serial` its number: the year of issue …
    serial             INTEGER NOT NULL CHECK (serial > 0), -- … and 1, 2, 3 … in it, without holes
    issued_at          TEXT    NOT NULL,    -- when the order was placed
    credited_at        TEXT,                -- when the order was cancelled, which credits all of it; NULL: it stands
    status             TEXT    NOT NULL GENERATED ALWAYS AS
                           (CASE WHEN credited_at IS NULL THEN 'issued' ELSE 'credited' END) STORED, -- for people who read this table
    customer_id        INTEGER NOT NULL,    -- who pays, as they were when they ordered
    customer_name      TEXT    NOT NULL,    -- family name
    customer_firstname TEXT    NOT NULL,    -- given name
    customer_email     TEXT    NOT NULL,    -- where the invoice is sent
    billing_street     TEXT    NOT NULL,    -- street and number
    billing_zip        TEXT    NOT NULL,
    billing_city       TEXT    NOT NULL,
    currency           TEXT    NOT NULL,    -- ISO 4217
    total_cents        INTEGER NOT NULL,    -- sum of count * price_cents of the lines
    UNIQUE (year, serial)
);

-- What is paid for, as it was sold.
CREATE TABLE invoice_line (
    order_id    INTEGER NOT NULL REFERENCES invoice (order_id),
    line        INTEGER NOT NULL,                   -- 1, 2, 3 … as in the order
    count       INTEGER NOT NULL CHECK (count > 0), -- how many pieces
    item_id     INTEGER NOT NULL,                   -- what was sold
    item_name   TEXT    NOT NULL,                   -- its name then
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0), -- the price of one piece then
    PRIMARY KEY (order_id, line)
);

-- The next number of each year. Taken in the transaction of the invoices that get the numbers, so
-- that one that rolls back leaves no hole.
CREATE TABLE invoice_counter (
    year INTEGER PRIMARY KEY,
    next INTEGER NOT NULL CHECK (next > 0)
);
