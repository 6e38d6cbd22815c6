-- Published events that cannot be served get stand-ins, and are kept in `feed_quarantine` as they were. Their
-- sequences and ids stay (I3). Without such an event this is a scan of each table, beside which all others work on.
DO $migration$
DECLARE
    log    TEXT;
    event  RECORD;
    reason TEXT;
    first  CONSTANT TIMESTAMPTZ := '0001-01-01 00:00:00+00';
    last   CONSTANT TIMESTAMPTZ := '9999-12-31 23:59:59.999999+00';
    is_bad BOOLEAN;
BEGIN
    FOREACH log IN ARRAY ARRAY['feed_event', 'feed_archive'] LOOP
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE data = '''')', log) INTO is_bad;
            IF NOT is_bad THEN
                EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT feed_serves', log);
            END IF;
        EXCEPTION WHEN check_violation OR data_exception OR program_limit_exceeded THEN
            is_bad := TRUE;
        END;
        CONTINUE WHEN NOT is_bad;
        FOR event IN EXECUTE format('SELECT * FROM %I ORDER BY sequence', log) LOOP
            BEGIN
                PERFORM feed_serves(event.event_type, event.subject, event.time, event.updated, event.title,
                                    event.summary, event.link, '');
                PERFORM event.data::json;
                CONTINUE;
            EXCEPTION WHEN check_violation OR data_exception OR program_limit_exceeded THEN
                reason := SQLERRM;
            END;
            EXECUTE format('
                INSERT INTO feed_quarantine (reason, sequence, id, event_type, subject, time, title, summary,
                                             link, data, traceparent)
                SELECT $1, sequence, id, event_type, subject, time, title, summary, link, data, traceparent
                FROM %I WHERE sequence = $2', log) USING reason, event.sequence;
            IF event.updated NOT BETWEEN first AND last THEN
                event.updated := COALESCE((SELECT updated FROM feed_log WHERE sequence = event.sequence - 1),
                                          (SELECT created FROM feed_head));
            END IF;
            IF event.time NOT BETWEEN first AND last THEN
                event.time := event.updated;
            END IF;
            BEGIN
                PERFORM event.data::json;
            EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
                event.data := '';
            END;
            -- A character has at most four bytes.
            EXECUTE format('
                UPDATE %I SET time = $2, updated = $3, data = $4,
                    event_type = CASE WHEN octet_length(event_type) > 2000 THEN left(event_type, 500) ELSE event_type END,
                    subject = CASE WHEN octet_length(subject) > 2000 THEN left(subject, 500) ELSE subject END,
                    title = CASE WHEN octet_length(title) > 20000 THEN left(title, 5000) ELSE title END,
                    summary = CASE WHEN octet_length(summary) > 20000 THEN left(summary, 5000) ELSE summary END,
                    link = CASE WHEN octet_length(link) > 20000 THEN left(link, 5000) ELSE link END
                WHERE sequence = $1', log) USING event.sequence, event.time, event.updated, event.data;
        END LOOP;
        EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT feed_serves', log);
    END LOOP;
END $migration$;
