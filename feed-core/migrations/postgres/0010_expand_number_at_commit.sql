-- An event that arrives alone gets its sequence inside the COMMIT of its own transaction, so a reader waits for one
-- synced transaction and not for two. A deferred trigger runs there, after the last statement of the client: the lock
-- on the head does not wait for a client. It also serves a program that inserts by SQL.
--
-- Whatever makes this doubtful leaves the event to the sequencer, which numbers it as before:
--   * a statement other than a plain COMMIT: PREPARE TRANSACTION and SET CONSTRAINTS run deferred triggers too, and
--     the transaction would keep the lock afterwards;
--   * a cursor WITH HOLD, which COMMIT reads to its end after the deferred triggers;
--   * another isolation level: it has one snapshot, which is older than the lock;
--   * a commit that is not synced, or not sent to the standby: a reader could see a sequence that is lost then;
--   * more than ten events, or a numbering within the last 10 ms: many at once cost less in one transaction;
--   * a head or a row that another session has locked, and any error: the change itself must commit all the same.
-- A deferred trigger of the application that runs after this one is part of the COMMIT: while it runs, nothing else is
-- numbered.
--
-- "Expand": programs that do not know of it number what is left.

SET LOCAL lock_timeout = '5s';

-- With the rights of its owner: a program may insert into the outbox that may not write to the log.
CREATE FUNCTION feed_number_at_commit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '10ms' AS $$
BEGIN
    IF coalesce(current_query(), '') !~* '^\s*(commit|end)(\s+(work|transaction))?\s*;?\s*$'
       OR current_setting('transaction_isolation') <> 'read committed'
       OR current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
       OR EXISTS (SELECT FROM pg_cursors WHERE is_holdable)
    THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- First, so that each of many rows does not wait for a locked head.
        IF (SELECT count(*) FROM (SELECT FROM feed_outbox LIMIT 11) AS waiting) > 10 THEN
            RETURN NULL;
        END IF;
        PERFORM FROM feed_head WHERE updated <= clock_timestamp() - INTERVAL '10 milliseconds';
        IF FOUND THEN
            PERFORM feed_number(10);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    RETURN NULL;
END $$;

-- Its tables are found in this schema alone: who may make temporary tables does not gain those rights.
DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION feed_number_at_commit() SET search_path = %I, pg_temp', current_schema());
END $migration$;

CREATE CONSTRAINT TRIGGER feed_number_at_commit
    AFTER INSERT ON feed_outbox DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION feed_number_at_commit();
