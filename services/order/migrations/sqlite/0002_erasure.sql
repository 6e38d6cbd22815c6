-- Customers who were erased. Their row in `customers` is gone. Their orders stay and name nobody: name,
-- e-mail and addresses are empty texts, which no order has otherwise.
CREATE TABLE erasure (
    customer_id INTEGER PRIMARY KEY, -- a number is given to nobody else
    erased_by   TEXT    NOT NULL,    -- who has decided it
    begun_at    TEXT    NOT NULL,
    done_at     TEXT                 -- NULL: it was broken off, and has to be begun again
);
