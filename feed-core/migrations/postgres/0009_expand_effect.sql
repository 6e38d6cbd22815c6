-- One row while an effect runs, inside its transaction. It refers to a row that does not exist, which
-- PostgreSQL checks at COMMIT: so an effect that commits by itself is refused, instead of committing the
-- claims of events that it has not applied yet. The row is removed after the effect; if it is not there
-- any more, the effect has ended the transaction. Nobody ever sees a row here.
--
-- "Expand": programs that do not know of it work on beside those that do.

CREATE TABLE feed_effect (
    id        BIGINT PRIMARY KEY,                   -- the transaction's number
    committed BIGINT NOT NULL,
    CONSTRAINT an_effect_must_not_end_its_transaction FOREIGN KEY (committed)
        REFERENCES feed_effect (id) DEFERRABLE INITIALLY DEFERRED
);
