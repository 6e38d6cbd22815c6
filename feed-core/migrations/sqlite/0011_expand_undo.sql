-- What operators need to decide about many parked events at once, and to take a decision back.
--
-- "Expand": programs that do not know of them leave them alone.

ALTER TABLE feed_parked ADD COLUMN event_type TEXT;    -- CloudEvents type; NULL: the feed has none, or an older program parked it
ALTER TABLE feed_parked ADD COLUMN decision INTEGER;   -- the last decision to retry it, or the undo that parked it again
ALTER TABLE feed_skip ADD COLUMN decision INTEGER;     -- the decision by which it was skipped; NULL: the effect's own, or an older program
ALTER TABLE feed_decision ADD COLUMN undone INTEGER;   -- the decision that took this one back

-- Failed events are selected by the time at which they were parked. The index has all that is counted: what is
-- behind the event in its row is slow to read if the event is large.
CREATE INDEX feed_parked_failed ON feed_parked (subscription, parked_at, reason, event_type, attempts, subject, event_id)
    WHERE reason IS NOT NULL;

-- What a decision has touched.
CREATE INDEX feed_parked_by_decision ON feed_parked (decision) WHERE decision IS NOT NULL;
CREATE INDEX feed_skip_by_decision ON feed_skip (decision) WHERE decision IS NOT NULL;

-- Events that an operator has skipped, as they were parked. A row is here as long as the skip can be undone: until a
-- later event of the subject has its effect, an erasure reaches it, or a week is over.
CREATE TABLE feed_undo (
    subscription TEXT        NOT NULL REFERENCES feed_subscription (name),
    event_id     TEXT        NOT NULL,
    decision     INTEGER     NOT NULL,              -- the decision by which it was skipped
    skipped_at   TEXT        NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    position     INTEGER     NOT NULL,              -- from here on as in feed_parked
    partition    INTEGER     NOT NULL,
    subject      TEXT        NOT NULL,
    event_type   TEXT,
    sequence     INTEGER,
    event        TEXT        NOT NULL,
    reason       TEXT        NOT NULL,
    attempts     INTEGER     NOT NULL,
    parked_at    TEXT        NOT NULL,
    retry_at     TEXT,
    PRIMARY KEY (subscription, event_id)
);

CREATE INDEX feed_undo_by_decision ON feed_undo (decision, partition);
CREATE INDEX feed_undo_by_subject ON feed_undo (subscription, subject, position);
CREATE INDEX feed_undo_by_partition ON feed_undo (subscription, partition);
CREATE INDEX feed_undo_by_time ON feed_undo (subscription, skipped_at);
