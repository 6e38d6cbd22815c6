-- What operators look for: which feed an instance follows, what became of a subject, and what was tried for an event
-- that is parked.
--
-- "Expand": programs that do not know of them leave them alone.

ALTER TABLE feed_instance ADD COLUMN feed TEXT;        -- the address of the feed, without secrets; NULL: an older program

CREATE INDEX feed_skip_by_subject ON feed_skip (subscription, subject);

-- The last attempts for an event that is parked.
CREATE TABLE feed_attempt (
    subscription TEXT    NOT NULL,
    event_id     TEXT    NOT NULL,
    attempt      INTEGER  NOT NULL,
    tried_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    reason       TEXT    NOT NULL,                  -- why it failed
    PRIMARY KEY (subscription, event_id, attempt),
    FOREIGN KEY (subscription, event_id) REFERENCES feed_parked (subscription, event_id) ON DELETE CASCADE
);
