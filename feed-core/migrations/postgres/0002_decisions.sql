-- What people decide about a subscription, and what has no effect by their word or the effect's own.

-- Events without an effect: a person's word, or the effect's own (an unknown type, an order that is
-- not here). With the effects and the parked events, these are all events up to the cursor (I5).
CREATE TABLE feed_skip (
    subscription TEXT        NOT NULL REFERENCES feed_subscription (name),
    event_id     TEXT        NOT NULL,
    subject      TEXT        NOT NULL,
    event_type   TEXT,                              -- NULL for feeds without types
    sequence     BIGINT,                            -- NULL for feeds without sequences
    reason       TEXT        NOT NULL,
    skipped_by   TEXT,                              -- the person; NULL: the effect passed it over
    skipped_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, event_id)
);

CREATE INDEX feed_skip_by_time ON feed_skip (subscription, skipped_at);

-- What people have decided, in order; an instance carries out what is not done.
CREATE TABLE feed_decision (
    position     BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription TEXT        NOT NULL REFERENCES feed_subscription (name),
    decision     TEXT        NOT NULL,              -- such as: resume from-now, replay 17, skip urn:uuid:…
    reason       TEXT,
    decided_by   TEXT        NOT NULL,
    decided_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    done_at      TIMESTAMPTZ,                       -- NULL: to be carried out
    outcome      TEXT                               -- what came of it; NULL: not known yet
);

CREATE INDEX feed_decision_open ON feed_decision (subscription, position) WHERE done_at IS NULL;

-- The result of the last comparison of the feed with what is stored, as JSON.
ALTER TABLE feed_subscription ADD COLUMN reconciled TEXT;

-- Events up to here were never taken: a person let the subscription begin after them.
ALTER TABLE feed_subscription ADD COLUMN begins BIGINT NOT NULL DEFAULT 0;

-- What the event is about, for people who look at it.
ALTER TABLE feed_claim ADD COLUMN subject TEXT;

-- Claims far below the cursor go by their sequence; a replay drops them by it.
CREATE INDEX feed_claim_by_sequence ON feed_claim (subscription, sequence);

-- Whether anything is parked in a partition is asked with each batch.
CREATE INDEX feed_parked_by_partition ON feed_parked (subscription, partition);
