-- Numbering inside COMMIT (0010) at a lower cost for an event that does not arrive alone. Under load each event ran all
-- checks, and one of them read past all that had been numbered since the last VACUUM. Now the trigger asks one thing
-- first: whether an event right before this one waits for the sequencer, which will then number both.
--
-- "Expand": the trigger of 0010 calls its function by name.

SET LOCAL lock_timeout = '5s';

-- Numbers the event at `place` of the outbox, unless 0010 names a reason to leave it to the sequencer.
CREATE FUNCTION feed_number_alone(place BIGINT) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '10ms' AS $$
BEGIN
    IF coalesce(current_query(), '') !~* '^\s*(commit|end)(\s+(work|transaction))?\s*;?\s*$'
       OR current_setting('transaction_isolation') <> 'read committed'
       OR current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
       OR EXISTS (SELECT FROM pg_cursors WHERE is_holdable)
       OR EXISTS (SELECT FROM feed_outbox WHERE position > place ORDER BY position OFFSET 9)
    THEN
        RETURN;
    END IF;
    PERFORM FROM feed_head WHERE updated <= clock_timestamp() - INTERVAL '10 milliseconds';
    IF FOUND THEN
        PERFORM feed_number(10);
    END IF;
END $$;

-- A fixed search_path would cost each event more than the question. So each name here has its schema: a caller must not
-- choose what runs with the rights of the owner. The planner's settings keep a plan that was made while the outbox was
-- empty from reading all of it later.
DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION feed_number_alone(BIGINT) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION feed_number_at_commit() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET jit = off AS $feed_body$
        BEGIN
            -- On a table of another role, the types of its columns would run code of that role.
            IF TG_RELID OPERATOR(pg_catalog.<>) %2$L::pg_catalog.regclass::pg_catalog.oid THEN
                RETURN NULL;
            END IF;
            PERFORM FROM %1$I.feed_outbox
            WHERE position OPERATOR(pg_catalog.<) NEW.position
              AND position OPERATOR(pg_catalog.>=) (NEW.position OPERATOR(pg_catalog.-) 8::pg_catalog.int8)
            ORDER BY position DESC LIMIT 1;
            IF NOT FOUND THEN
                PERFORM %1$I.feed_number_alone(NEW.position);
            END IF;
            RETURN NULL;
        EXCEPTION WHEN OTHERS THEN
            RETURN NULL;
        END $feed_body$
    $function$, current_schema(), format('%I.feed_outbox', current_schema()));
END $migration$;

-- Nobody else has a use for it; our own trigger needs no such right.
REVOKE EXECUTE ON FUNCTION feed_number_at_commit() FROM PUBLIC;
