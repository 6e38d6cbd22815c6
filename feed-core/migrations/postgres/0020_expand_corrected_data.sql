-- An operator corrects the data of a published event by UPDATE, too: what was answered with the old data is not given
-- out again, and no tag of it is valid.
--
-- "Expand": triggers do it, also beside programs that do not know of it.

-- An erasure rewrites one event after the other: the head is written once in its transaction.
CREATE FUNCTION feed_data_corrected() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('feed.corrected_in', TRUE) IS DISTINCT FROM txid_current()::TEXT THEN
        PERFORM set_config('feed.corrected_in', txid_current()::TEXT, TRUE);
        UPDATE feed_head
        SET revision = revision + 1, closed_sequence = -1,
            updated = GREATEST(date_trunc('milliseconds', clock_timestamp()), updated, closed_until);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER feed_data_corrected
    AFTER UPDATE OF data ON feed_event
    FOR EACH STATEMENT EXECUTE FUNCTION feed_data_corrected();

CREATE TRIGGER feed_data_corrected
    AFTER UPDATE OF data ON feed_archive
    FOR EACH STATEMENT EXECUTE FUNCTION feed_data_corrected();

-- Also where an operator's session has another search_path.
DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION feed_data_corrected() SET search_path = %I, pg_temp', current_schema());
END $migration$;
