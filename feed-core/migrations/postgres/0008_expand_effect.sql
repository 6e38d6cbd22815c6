-- One row while an effect runs, inside its transaction. It refers to a row that does not exist, which
-- PostgreSQL checks at COMMIT: so an effect that commits by itself is refused, instead of committing the
-- claims of events that it has not applied yet. The row is removed together with our own COMMIT; if it is
-- not there any more, the effect has ended the transaction. Nobody ever sees a row here.
--
-- "Expand": programs that do not know of it work on beside those that do.

-- Stays empty. A row of feed_effect itself would do as well to refer to; but then PostgreSQL would read
-- all of that table at each COMMIT, to see that nothing refers to the row that is removed.
CREATE TABLE feed_effect_end (
    id BIGINT PRIMARY KEY
);

CREATE TABLE feed_effect (
    id        BIGINT PRIMARY KEY,                   -- the transaction's number
    committed BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT an_effect_must_not_end_its_transaction FOREIGN KEY (committed)
        REFERENCES feed_effect_end (id) DEFERRABLE INITIALLY DEFERRED
);

-- Removes the row. Sent in one message with COMMIT, which the server does not run if this fails.
CREATE FUNCTION feed_end_effect(effect BIGINT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM feed_effect WHERE id = effect;
    IF NOT FOUND THEN
        RAISE integrity_constraint_violation USING
            MESSAGE = 'the effect has ended its transaction',
            CONSTRAINT = 'an_effect_must_not_end_its_transaction';
    END IF;
END $$;
