-- Instants are RFC 3339 in UTC with milliseconds, so that their order as text is their order in time.

-- The publishing side.

-- One row: which feed this is, and how far it has got.
CREATE TABLE feed_head (
    only_row        INTEGER     PRIMARY KEY CHECK (only_row = 1),
    feed_id         TEXT        NOT NULL,           -- the feed's atom:id, for ever
    epoch           TEXT        NOT NULL,           -- the incarnation: another database, another epoch
    page_size       INTEGER     NOT NULL CHECK (page_size > 0), -- events of a page, fixed at creation
    created         TEXT        NOT NULL,           -- when this feed was made
    sequence        INTEGER     NOT NULL DEFAULT 0, -- number of the newest event, 0 while there is none
    anchor          TEXT,                           -- id of the newest event
    updated         TEXT        NOT NULL,           -- its atom:updated; never goes back
    closed_until    TEXT,                           -- a second after the end of the last closed second: nothing is stamped before it
    closed_sequence INTEGER     NOT NULL DEFAULT -1 -- the newest sequence when that second was closed
);

-- The outbox and the log in one: SQLite has one writer at a time, so an event is numbered in the
-- transaction of the change it tells of.
CREATE TABLE feed_event (
    sequence    INTEGER     PRIMARY KEY,
    id          TEXT        NOT NULL UNIQUE,
    event_type  TEXT        NOT NULL,               -- CloudEvents type
    subject     TEXT        NOT NULL,               -- CloudEvents subject
    time        TEXT        NOT NULL,               -- CloudEvents time: when it happened; atom:published
    updated     TEXT        NOT NULL,               -- when it was numbered; atom:updated
    title       TEXT        NOT NULL,
    summary     TEXT        NOT NULL,
    link        TEXT        NOT NULL,               -- page about the subject, relative to the public base URL
    data        TEXT        NOT NULL,               -- the JSON body, byte for byte as it was
    traceparent TEXT                                -- W3C trace context of the request that caused it
);

CREATE INDEX feed_event_by_type    ON feed_event (event_type, sequence);
CREATE INDEX feed_event_by_subject ON feed_event (subject, sequence);

-- The consuming side.

-- One row for each feed that is consumed.
CREATE TABLE feed_subscription (
    name    TEXT        PRIMARY KEY,
    halted  TEXT,                                   -- why nothing moves until a person decides; NULL: all is well
    halted_at TEXT
);

-- The instances that work on a subscription. A row that is not renewed is an instance that is gone.
CREATE TABLE feed_instance (
    subscription  TEXT        NOT NULL REFERENCES feed_subscription (name),
    instance      TEXT        NOT NULL,
    alive_until   TEXT        NOT NULL,
    last_contact  TEXT,                             -- when the feed last answered this instance
    head_sequence INTEGER,                           -- the newest sequence it has seen there
    last_error    TEXT,                             -- what went wrong in its last round; NULL: nothing
    PRIMARY KEY (subscription, instance)
);

-- A fixed share of the subscription's subjects: how far it has got, and whose it is.
CREATE TABLE feed_partition (
    subscription  TEXT        NOT NULL REFERENCES feed_subscription (name),
    partition     INTEGER     NOT NULL,
    epoch         TEXT,                             -- cursor: the feed's epoch; NULL before the first event
    sequence      INTEGER     NOT NULL DEFAULT 0,   -- cursor: the last event taken
    anchor        TEXT,                             -- cursor: the id of that event
    updated       TEXT,                             -- cursor: when that event was published
    etag          TEXT,                             -- validators of the head, once all of it has been taken
    last_modified TEXT,
    lease_owner   TEXT,
    lease_epoch   INTEGER     NOT NULL DEFAULT 0,   -- goes up with each owner; fences off the late ones
    lease_until   TEXT,       
    PRIMARY KEY (subscription, partition)
);

-- "This subscription has this event", inserted in the transaction of the effect.
CREATE TABLE feed_claim (
    subscription TEXT        NOT NULL REFERENCES feed_subscription (name),
    event_id     TEXT        NOT NULL,              -- the entry's atom:id, compared character by character
    sequence     INTEGER,                            -- NULL for feeds without sequences
    claimed      TEXT        NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (subscription, event_id)
);

-- Events whose effect failed for good, and the later ones of their subjects, which wait for them.
CREATE TABLE feed_parked (
    subscription TEXT        NOT NULL REFERENCES feed_subscription (name),
    event_id     TEXT        NOT NULL,
    position     INTEGER     PRIMARY KEY AUTOINCREMENT, -- order of arrival, within a subject that of the sequence
    partition    INTEGER     NOT NULL,
    subject      TEXT        NOT NULL,
    sequence     INTEGER,
    event        TEXT        NOT NULL,              -- the event as received, to be tried again
    reason       TEXT,                              -- why it failed; NULL: it waits for one that did
    attempts     INTEGER     NOT NULL DEFAULT 0,
    parked_at    TEXT        NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    retry_at     TEXT,                              -- when it is tried again; NULL: when a person says so
    UNIQUE (subscription, event_id)
);

CREATE INDEX feed_parked_by_subject ON feed_parked (subscription, subject, position);
