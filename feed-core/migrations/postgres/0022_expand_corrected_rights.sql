-- A role that may UPDATE the events, and no more, may correct them: the triggers of 0005 and 0020 write the head with the rights
-- of its owner. Its tables are found in this schema alone.
--
-- "Expand": the triggers call their functions by name.

DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION feed_corrected() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION feed_data_corrected() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $migration$;

-- No trigger of another role moves the head; ours need no such right.
REVOKE EXECUTE ON FUNCTION feed_corrected(), feed_data_corrected() FROM PUBLIC;
