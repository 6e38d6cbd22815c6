-- Parked events that are due are found by an index. An event that waits has a `retry_at` from the moment on at which no
-- event of its subject is before it: until then it is in no index of what is due, however many wait.
--
-- "Expand": triggers set it, also for programs that do not know of it.

CREATE INDEX feed_parked_due ON feed_parked (subscription, partition, retry_at, position) WHERE retry_at IS NOT NULL;

-- A replay forgets skipped events by their sequence.
CREATE INDEX feed_skip_by_sequence ON feed_skip (subscription, sequence);

-- The plans are kept: none may read a whole table because that is still empty.
CREATE FUNCTION feed_parked_release() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE feed_parked AS parked
    SET retry_at = clock_timestamp()
    FROM (SELECT DISTINCT subscription, subject FROM gone) AS released
    CROSS JOIN LATERAL (SELECT event_id FROM feed_parked
                        WHERE subscription = released.subscription AND subject = released.subject
                        ORDER BY position LIMIT 1) AS first
    WHERE parked.subscription = released.subscription AND parked.event_id = first.event_id
      AND parked.reason IS NULL AND parked.retry_at IS NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER feed_parked_release AFTER DELETE ON feed_parked REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION feed_parked_release();

-- As an import does, of what an older program has released.
CREATE FUNCTION feed_parked_first() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM feed_parked
                   WHERE subscription = NEW.subscription AND subject = NEW.subject AND position < NEW.position)
    THEN
        NEW.retry_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER feed_parked_first BEFORE INSERT ON feed_parked
    FOR EACH ROW WHEN (NEW.reason IS NULL AND NEW.retry_at IS NULL) EXECUTE FUNCTION feed_parked_first();

-- Also where a restore of the data has an empty search_path.
DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION feed_parked_release() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION feed_parked_first() SET search_path = %I, pg_temp', current_schema());
END $migration$;

UPDATE feed_parked SET retry_at = clock_timestamp()
WHERE reason IS NULL AND retry_at IS NULL
  AND (subscription, subject, position) IN (SELECT subscription, subject, min(position) FROM feed_parked
                                            GROUP BY subscription, subject);
