-- An operator corrects the data of a published event by UPDATE, too: what was answered with the old data is not given
-- out again, and no tag of it is valid.
--
-- "Expand": triggers do it, also beside programs that do not know of it.

CREATE TRIGGER feed_event_data_corrected AFTER UPDATE OF data ON feed_event WHEN OLD.data IS NOT NEW.data
BEGIN
    UPDATE feed_head
    SET revision = revision + 1, closed_sequence = -1,
        updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated, coalesce(closed_until, updated));
END;

CREATE TRIGGER feed_archive_data_corrected AFTER UPDATE OF data ON feed_archive WHEN OLD.data IS NOT NEW.data
BEGIN
    UPDATE feed_head
    SET revision = revision + 1, closed_sequence = -1,
        updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated, coalesce(closed_until, updated));
END;
