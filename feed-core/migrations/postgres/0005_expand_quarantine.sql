-- A row that another program inserts must not stop numbering or a reader. The outbox refuses what its
-- contract does not allow, in the transaction of that program. What is there already, or can be seen only
-- when numbers are given out, is moved to `feed_quarantine`, and everything else goes on.
--
-- The limits are those of `src/event.rs`; a test keeps the two in step.
SET LOCAL lock_timeout = '5s';

-- Rows that are no events, as they were, for an operator to correct or to delete. All columns are text, so that
-- each fits. A row with a sequence is in the log as well, with stand-ins for what could not be served.
CREATE TABLE feed_quarantine (
    position    BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found       TIMESTAMPTZ NOT NULL DEFAULT now(),
    reason      TEXT        NOT NULL,               -- what is wrong with it
    sequence    BIGINT,                             -- NULL: it was never published
    id          TEXT        NOT NULL,
    event_type  TEXT,
    subject     TEXT,
    time        TEXT,
    title       TEXT,
    summary     TEXT,
    link        TEXT,
    data        TEXT,                               -- NULL: erased
    traceparent TEXT
);

-- Goes up when a published event is corrected: what is in memory, and the tags of documents, change with it.
ALTER TABLE feed_head ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- An id that is in the outbox twice: the first row keeps it.
LOCK TABLE feed_outbox IN ACCESS EXCLUSIVE MODE;

WITH doubled AS (
    DELETE FROM feed_outbox
    WHERE EXISTS (SELECT FROM feed_outbox AS first
                  WHERE first.id = feed_outbox.id AND first.position < feed_outbox.position)
    RETURNING *
)
INSERT INTO feed_quarantine (reason, id, event_type, subject, time, title, summary, link, data, traceparent)
SELECT 'its id is that of another row of feed_outbox', id, event_type, subject, time, title, summary, link,
       data, traceparent
FROM doubled ORDER BY position;

-- What the outbox takes. A function, so that PostgreSQL prepares it once for a session and not for each INSERT, and
-- so that the error says what is wrong. What is not JSON at all, or escapes what is no character, fails in a cast.
CREATE FUNCTION feed_accepts(event_type TEXT, subject TEXT, happened TIMESTAMPTZ, title TEXT, summary TEXT,
                             link TEXT, data TEXT, traceparent TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- As Unicode has it.
    white_space_around CONSTANT TEXT :=
        '^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$';
    refused TEXT := CASE
        WHEN octet_length(event_type) NOT BETWEEN 1 AND 2000 OR octet_length(subject) NOT BETWEEN 1 AND 2000
            THEN 'its type or subject does not have 1 to 2000 bytes'
        WHEN event_type ~ white_space_around OR subject ~ white_space_around
            THEN 'its type or subject has white space around it'
        WHEN happened < '0001-01-01 00:00:00+00' OR happened >= '10000-01-01 00:00:00+00'
            THEN 'its time is not in the years 1 to 9999'
        WHEN GREATEST(octet_length(title), octet_length(summary), octet_length(link)) > 2000
            THEN 'its title, summary or link has more than 2000 bytes'
        WHEN traceparent NOT LIKE '00-________________________________-________________-__'
             OR traceparent ~ '[^-0-9a-f]'
            THEN 'its traceparent is not one of version 00'
        WHEN octet_length(data) > 1048576
            THEN 'its data has more than 1 MiB'
        -- jsonb refuses U+0000, which JSON allows.
        WHEN data::json IS NULL
             OR position('\u' IN data) > 0 AND replace(data, '\u0000', '\u0001')::jsonb IS NULL
            THEN 'its data is not JSON'
        -- Counted first: few have so many arrays and objects, and even fewer within each other.
        WHEN 2 * octet_length(data) - octet_length(replace(data, '[', '')) - octet_length(replace(data, '{', ''))
                 > 100
             AND jsonb_path_exists(replace(data, '\u0000', '\u0001')::jsonb,
                     'strict $.**{100} ? (@.type() == "array" || @.type() == "object")')
            THEN 'its data has more than 100 levels'
    END;
BEGIN
    IF refused IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = 'the event cannot be published: ' || refused;
    END IF;
    RETURN TRUE;
END $$;

-- What the log takes: all that can be served. Older events may be beyond the limits of the outbox and harm nobody.
-- Data that cannot be read is empty there.
CREATE FUNCTION feed_serves(event_type TEXT, subject TEXT, happened TIMESTAMPTZ, updated TIMESTAMPTZ, title TEXT,
                            summary TEXT, link TEXT, data TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    refused TEXT := CASE
        WHEN GREATEST(octet_length(event_type), octet_length(subject)) > 2000
            THEN 'its type or subject has more than 2000 bytes'
        WHEN LEAST(happened, updated) < '0001-01-01 00:00:00+00'
             OR GREATEST(happened, updated) >= '10000-01-01 00:00:00+00'
            THEN 'its time is not in the years 1 to 9999'
        WHEN GREATEST(octet_length(title), octet_length(summary), octet_length(link)) > 20000
            THEN 'its title, summary or link has more than 20000 bytes'
        WHEN data <> '' AND data::json IS NULL
            THEN 'its data is not JSON'
    END;
BEGIN
    IF refused IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = 'the event cannot be served: ' || refused;
    END IF;
    RETURN TRUE;
END $$;

-- NOT VALID: rows of before get their numbers if the log takes them.
ALTER TABLE feed_outbox
    ALTER COLUMN id   SET DEFAULT gen_random_uuid(),
    ALTER COLUMN time SET DEFAULT now(),
    ADD UNIQUE (id),
    ADD CONSTRAINT feed_accepts CHECK (
        feed_accepts(event_type, subject, time, title, summary, link, data, traceparent)) NOT VALID;

ALTER TABLE feed_event
    ADD CHECK (sequence BETWEEN 1 AND 9007199254740992) NOT VALID,
    ADD CONSTRAINT feed_serves CHECK (
        feed_serves(event_type, subject, time, updated, title, summary, link, data)) NOT VALID;

ALTER TABLE feed_archive
    ADD CHECK (sequence BETWEEN 1 AND 9007199254740992) NOT VALID,
    ADD CONSTRAINT feed_serves CHECK (
        feed_serves(event_type, subject, time, updated, title, summary, link, data)) NOT VALID;

-- An operator corrects a published event by UPDATE. No date hides that: the second is closed anew.
CREATE FUNCTION feed_corrected() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE feed_head
    SET revision = revision + 1, closed_sequence = -1,
        updated = GREATEST(date_trunc('milliseconds', clock_timestamp()), updated, closed_until);
    RETURN NULL;
END $$;

CREATE TRIGGER feed_corrected
    AFTER UPDATE OF id, event_type, subject, time, updated, title, summary, link ON feed_event
    FOR EACH STATEMENT EXECUTE FUNCTION feed_corrected();

CREATE TRIGGER feed_corrected
    AFTER UPDATE OF id, event_type, subject, time, updated, title, summary, link ON feed_archive
    FOR EACH STATEMENT EXECUTE FUNCTION feed_corrected();

-- As in 0003, and no row stops it. All rows are numbered by one statement; where the log refuses one of
-- them, all are numbered one by one, and that one is moved to the quarantine.
CREATE OR REPLACE FUNCTION feed_number(most BIGINT, OUT head feed_head, OUT numbered BIGINT)
RETURNS SETOF RECORD LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before  BIGINT;
    adopted BIGINT := 0;
    event   feed_outbox;
BEGIN
    SELECT * INTO head FROM feed_head FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    before := head.sequence;
    -- `updated` never goes back, and is never within a closed second.
    head.updated := GREATEST(
        date_trunc('milliseconds', clock_timestamp()), head.updated, head.closed_until);
    BEGIN
        WITH committed AS (
            DELETE FROM feed_outbox
            WHERE position <= (SELECT max(position) FROM (
                SELECT position FROM feed_outbox ORDER BY position LIMIT most) AS first)
            RETURNING *
        )
        INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title, summary, link,
                                data, traceparent)
        SELECT head.sequence + row_number() OVER (ORDER BY position),
               -- NULL, which is refused like an id that `feed_event` has.
               CASE WHEN (SELECT a.id FROM feed_archive AS a WHERE a.id = committed.id) IS NULL THEN id END,
               event_type, subject, time, head.updated, title, summary, link, data, traceparent
        FROM committed ORDER BY position;
        GET DIAGNOSTICS numbered = ROW_COUNT;
        head.sequence := head.sequence + numbered;
    EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded THEN
        numbered := 0;
        FOR event IN SELECT * FROM feed_outbox ORDER BY position LIMIT most LOOP
            -- Another program has written to the log itself, or the head was put back: what has the next
            -- number keeps it, since readers may have seen it.
            WHILE EXISTS (SELECT FROM feed_event WHERE sequence = head.sequence + 1) LOOP
                head.sequence := head.sequence + 1;
                adopted := adopted + 1;
            END LOOP;
            BEGIN
                IF EXISTS (SELECT FROM feed_archive WHERE id = event.id) THEN
                    RAISE unique_violation USING MESSAGE = 'its id is that of an event in feed_archive';
                END IF;
                INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title, summary,
                                        link, data, traceparent)
                VALUES (head.sequence + 1, event.id, event.event_type, event.subject, event.time,
                        head.updated, event.title, event.summary, event.link, event.data,
                        event.traceparent);
                head.sequence := head.sequence + 1;
            EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded THEN
                INSERT INTO feed_quarantine (reason, id, event_type, subject, time, title, summary, link,
                                             data, traceparent)
                VALUES (SQLERRM, event.id, event.event_type, event.subject, event.time, event.title,
                        event.summary, event.link, event.data, event.traceparent);
            END;
            DELETE FROM feed_outbox WHERE position = event.position;
            numbered := numbered + 1;
        END LOOP;
        IF adopted > 0 THEN
            INSERT INTO feed_quarantine (reason, sequence, id)
            SELECT adopted || ' events were in feed_event beyond the head of the feed, and are published '
                   'now; this is the first', sequence, id
            FROM feed_event WHERE sequence > before ORDER BY sequence LIMIT 1;
        END IF;
    END;
    IF head.sequence > before THEN
        UPDATE feed_head
        SET sequence = head.sequence, updated = head.updated,
            anchor = (SELECT id FROM feed_event WHERE feed_event.sequence = head.sequence)
        RETURNING * INTO head;
        PERFORM pg_notify('feed_head', head.sequence::text);
    ELSE
        SELECT * INTO head FROM feed_head;
    END IF;
    RETURN NEXT;
END $$;
