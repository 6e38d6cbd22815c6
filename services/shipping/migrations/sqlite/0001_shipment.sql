-- What the shipping service owns. It needs no e-mail address and no price, and so has none.
-- Instants are RFC 3339 in UTC with milliseconds, so that their order as text is their order in time.

CREATE TABLE shipment (
    order_id           INTEGER PRIMARY KEY, -- the order it is for: no order has two (I5)
    placed_at          TEXT    NOT NULL,    -- when the order was placed
    dispatched_at      TEXT,                -- when it left; NULL: it has not
    cancelled_at       TEXT,                -- when the order was cancelled; NULL: it was not
    status             TEXT    NOT NULL GENERATED ALWAYS AS
                           (CASE WHEN dispatched_at IS NULL AND cancelled_at IS NULL THEN 'pending'
                                 WHEN cancelled_at IS NULL THEN 'dispatched'
                                 WHEN dispatched_at IS NULL THEN 'stopped'
                                 ELSE 'recalled' END) STORED, -- for people who read this table
    customer_id        INTEGER NOT NULL,    -- who gets it, as they were when they ordered
    customer_name      TEXT    NOT NULL,    -- family name
    customer_firstname TEXT    NOT NULL,    -- given name
    shipping_street    TEXT    NOT NULL,    -- street and number
    shipping_zip       TEXT    NOT NULL,
    shipping_city      TEXT    NOT NULL
);

-- What is in it.
CREATE TABLE shipment_line (
    order_id  INTEGER NOT NULL REFERENCES shipment (order_id),
    line      INTEGER NOT NULL,                   -- 1, 2, 3 … as in the order
    count     INTEGER NOT NULL CHECK (count > 0), -- how many pieces
    item_id   INTEGER NOT NULL,                   -- what was sold
    item_name TEXT    NOT NULL,                   -- its name then
    PRIMARY KEY (order_id, line)
);
