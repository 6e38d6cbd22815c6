-- Parked events that are due are found by an index. An event that waits has a `retry_at` from the moment on at which no
-- event of its subject is before it: until then it is in no index of what is due, however many wait.
--
-- "Expand": triggers set it, also for programs that do not know of it.

CREATE INDEX feed_parked_due ON feed_parked (subscription, partition, retry_at, position) WHERE retry_at IS NOT NULL;

-- A replay forgets skipped events by their sequence.
CREATE INDEX feed_skip_by_sequence ON feed_skip (subscription, sequence);

CREATE TRIGGER feed_parked_release AFTER DELETE ON feed_parked
BEGIN
    UPDATE feed_parked SET retry_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE position = (SELECT min(position) FROM feed_parked
                      WHERE subscription = OLD.subscription AND subject = OLD.subject)
      AND reason IS NULL AND retry_at IS NULL;
END;

-- As an import does, of what an older program has released.
CREATE TRIGGER feed_parked_first AFTER INSERT ON feed_parked WHEN NEW.reason IS NULL AND NEW.retry_at IS NULL
BEGIN
    UPDATE feed_parked SET retry_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE position = NEW.position
      AND NOT EXISTS (SELECT 1 FROM feed_parked
                      WHERE subscription = NEW.subscription AND subject = NEW.subject AND position < NEW.position);
END;

UPDATE feed_parked SET retry_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
WHERE reason IS NULL AND retry_at IS NULL
  AND position IN (SELECT min(position) FROM feed_parked GROUP BY subscription, subject);
