-- An event waits for its number in a table of its own, and is moved to the log when it has it. So the
-- transaction of the change maintains one index and not five, and the log is written once, in sequence.

CREATE TABLE feed_outbox (
    position    BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of insertion
    id          UUID        NOT NULL,
    event_type  TEXT        NOT NULL,
    subject     TEXT        NOT NULL,
    time        TIMESTAMPTZ NOT NULL,
    title       TEXT        NOT NULL,
    summary     TEXT        NOT NULL,
    link        TEXT        NOT NULL,
    data        TEXT        NOT NULL,
    traceparent TEXT
);

INSERT INTO feed_outbox (id, event_type, subject, time, title, summary, link, data, traceparent)
SELECT id, event_type, subject, time, title, summary, link, data, traceparent
FROM feed_event WHERE sequence IS NULL ORDER BY position;

DELETE FROM feed_event WHERE sequence IS NULL;

DROP INDEX feed_event_unnumbered;

ALTER TABLE feed_event
    DROP COLUMN position,
    ALTER COLUMN sequence SET NOT NULL,
    ALTER COLUMN updated SET NOT NULL;

-- Numbers what has committed, in the order of insertion, and says where the head is then. No row:
-- somebody else is at it.
--
-- Two statements, never one: the second must begin, and take its snapshot, after the lock is held. In
-- one statement rival sequencers number from snapshots older than the lock, and rewrite numbers that
-- readers have seen. A function, so that both are one trip: each of its statements has a snapshot of
-- its own, as it is VOLATILE.
CREATE FUNCTION feed_number(most BIGINT, OUT head feed_head, OUT numbered BIGINT)
RETURNS SETOF RECORD LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT * INTO head FROM feed_head FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- `updated` never goes back, and is never within a closed second.
    head.updated := GREATEST(
        date_trunc('milliseconds', clock_timestamp()), head.updated, head.closed_until);
    WITH committed AS (
        DELETE FROM feed_outbox
        WHERE position <= (SELECT max(position) FROM (
            SELECT position FROM feed_outbox ORDER BY position LIMIT most) AS first)
        RETURNING *
    )
    INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title, summary, link,
                            data, traceparent)
    SELECT head.sequence + row_number() OVER (ORDER BY position), id, event_type, subject, time,
           head.updated, title, summary, link, data, traceparent
    FROM committed ORDER BY position;
    GET DIAGNOSTICS numbered = ROW_COUNT;
    IF numbered > 0 THEN
        UPDATE feed_head
        SET sequence = head.sequence + numbered, updated = head.updated,
            anchor = (SELECT id FROM feed_event
                      WHERE feed_event.sequence = head.sequence + numbered)
        RETURNING * INTO head;
        PERFORM pg_notify('feed_head', head.sequence::text);
    ELSE
        SELECT * INTO head FROM feed_head;
    END IF;
    RETURN NEXT;
END $$;
