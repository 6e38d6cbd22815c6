-- Events of long ago, moved out of `feed_event` so that this one stays small: what is written to and
-- read all day is then in memory, and its indexes are short. Whoever reads does so through `feed_log`.
--
-- "Expand": programs that do not know of it work on beside those that do.

CREATE TABLE feed_archive (
    sequence    INTEGER     PRIMARY KEY,
    id          TEXT        NOT NULL UNIQUE,
    event_type  TEXT        NOT NULL,
    subject     TEXT        NOT NULL,
    time        TEXT        NOT NULL,
    updated     TEXT        NOT NULL,
    title       TEXT        NOT NULL,
    summary     TEXT        NOT NULL,
    link        TEXT        NOT NULL,
    data        TEXT        NOT NULL,
    traceparent TEXT
);

CREATE INDEX feed_archive_by_type    ON feed_archive (event_type, sequence);
CREATE INDEX feed_archive_by_subject ON feed_archive (subject, sequence);

-- All numbered events, wherever they are; in one statement none is there twice or missing.
CREATE VIEW feed_log AS
SELECT sequence, id, event_type, subject, time, updated, title, summary, link, data, traceparent
FROM feed_event
UNION ALL
SELECT sequence, id, event_type, subject, time, updated, title, summary, link, data, traceparent
FROM feed_archive;
