-- A row that another program inserts must not stop a reader. `feed_event` refuses what the contract of the outbox
-- does not allow, in the transaction of that program. What is there already and cannot be served gets stand-ins, and
-- is kept in `feed_quarantine` as it was; its sequence and id stay (I3).
--
-- The limits are those of `src/event.rs`; a test keeps the two in step. Whoever writes to the file runs these
-- triggers: they use what SQLite has since 3.38.

-- Rows that are no events, as they were, for an operator to correct or to delete. A row with a sequence is in the
-- log as well, with stand-ins for what could not be served.
CREATE TABLE feed_quarantine (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    found       TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    reason      TEXT    NOT NULL,                   -- what is wrong with it
    sequence    INTEGER,                            -- NULL: it was never published
    id          TEXT    NOT NULL,
    event_type  TEXT,
    subject     TEXT,
    time        TEXT,
    title       TEXT,
    summary     TEXT,
    link        TEXT,
    data        TEXT,                               -- NULL: erased
    traceparent TEXT
);

-- Goes up when a published event is corrected: what is in memory, and the tags of documents, change with it.
ALTER TABLE feed_head ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- The same instant in our spelling, and the same id.
UPDATE feed_event SET time = strftime('%Y-%m-%dT%H:%M:%fZ', time, '+0 days')
WHERE time GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND time NOT GLOB '*:60.[0-9][0-9][0-9]Z'
  AND time > '0001' AND strftime('%Y-%m-%dT%H:%M:%fZ', time, '+0 days') <> time;

UPDATE OR IGNORE feed_event SET id = lower(id) WHERE typeof(id) = 'text' AND id <> lower(id);

-- The same instant in our spelling, and the same id.
UPDATE feed_archive SET time = strftime('%Y-%m-%dT%H:%M:%fZ', time, '+0 days')
WHERE time GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND time NOT GLOB '*:60.[0-9][0-9][0-9]Z'
  AND time > '0001' AND strftime('%Y-%m-%dT%H:%M:%fZ', time, '+0 days') <> time;

UPDATE OR IGNORE feed_archive SET id = lower(id) WHERE typeof(id) = 'text' AND id <> lower(id);

-- What is wrong with each event that cannot be served.
CREATE TEMP TABLE unserved AS
SELECT sequence, CASE
    WHEN typeof(id) <> 'text' OR id NOT GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
        THEN 'its id is not a UUID'
    WHEN typeof(time) <> 'text' OR time < '0001'
             OR replace(time, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(time, ':60.', ':59.'), '+0 days')
        THEN 'its time is not an instant in the years 1 to 9999'
    WHEN typeof(updated) <> 'text' OR updated < '0001'
             OR replace(updated, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(updated, ':60.', ':59.'), '+0 days')
        THEN 'the time of its publication is not an instant in the years 1 to 9999'
    WHEN typeof(event_type) || typeof(subject) || typeof(title) || typeof(summary) || typeof(link)
             <> 'texttexttexttexttext' OR typeof(traceparent) NOT IN ('text', 'null')
        THEN 'one of its columns is not text'
    WHEN max(length(CAST(event_type AS BLOB)), length(CAST(subject AS BLOB))) > 2000
        THEN 'its type or subject has more than 2000 bytes'
    WHEN max(length(CAST(title AS BLOB)), length(CAST(summary AS BLOB)), length(CAST(link AS BLOB))) > 20000
        THEN 'its title, summary or link has more than 20000 bytes'
    WHEN typeof(data) <> 'text' OR NOT json_valid(data)
        THEN 'its data is not JSON'
END AS reason
FROM feed_log;

DELETE FROM temp.unserved WHERE reason IS NULL;

INSERT INTO feed_quarantine (reason, sequence, id, event_type, subject, time, title, summary, link, data, traceparent)
SELECT reason, sequence, iif(typeof(id) = 'blob', quote(id), id),
       iif(typeof(event_type) = 'blob', quote(event_type), event_type),
       iif(typeof(subject) = 'blob', quote(subject), subject), iif(typeof(time) = 'blob', quote(time), time),
       iif(typeof(title) = 'blob', quote(title), title), iif(typeof(summary) = 'blob', quote(summary), summary),
       iif(typeof(link) = 'blob', quote(link), link), iif(typeof(data) = 'blob', quote(data), data),
       iif(typeof(traceparent) = 'blob', quote(traceparent), traceparent)
FROM temp.unserved JOIN feed_log USING (sequence) ORDER BY sequence;

UPDATE feed_event SET
    id = CASE WHEN typeof(id) = 'text' AND id GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
              THEN id
              ELSE lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
                         || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))) END,
    updated = CASE WHEN typeof(updated) <> 'text' OR updated < '0001'
             OR replace(updated, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(updated, ':60.', ':59.'), '+0 days')
                   THEN (SELECT created FROM feed_head) ELSE updated END,
    -- A character has at most four bytes.
    event_type = CAST(CASE WHEN length(CAST(event_type AS BLOB)) > 2000
                           THEN substr(CAST(event_type AS TEXT), 1, 500) ELSE event_type END AS TEXT),
    subject = CAST(CASE WHEN length(CAST(subject AS BLOB)) > 2000
                        THEN substr(CAST(subject AS TEXT), 1, 500) ELSE subject END AS TEXT),
    title = CAST(CASE WHEN length(CAST(title AS BLOB)) > 20000
                      THEN substr(CAST(title AS TEXT), 1, 5000) ELSE title END AS TEXT),
    summary = CAST(CASE WHEN length(CAST(summary AS BLOB)) > 20000
                        THEN substr(CAST(summary AS TEXT), 1, 5000) ELSE summary END AS TEXT),
    link = CAST(CASE WHEN length(CAST(link AS BLOB)) > 20000
                     THEN substr(CAST(link AS TEXT), 1, 5000) ELSE link END AS TEXT),
    data = CASE WHEN typeof(data) = 'text' AND json_valid(data) THEN data ELSE '' END,
    traceparent = CASE WHEN typeof(traceparent) = 'text' THEN traceparent END
WHERE sequence IN (SELECT sequence FROM temp.unserved);

UPDATE feed_event SET time = updated
WHERE sequence IN (SELECT sequence FROM temp.unserved)
  AND (typeof(time) <> 'text' OR time < '0001'
             OR replace(time, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(time, ':60.', ':59.'), '+0 days'));

UPDATE feed_archive SET
    id = CASE WHEN typeof(id) = 'text' AND id GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
              THEN id
              ELSE lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
                         || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))) END,
    updated = CASE WHEN typeof(updated) <> 'text' OR updated < '0001'
             OR replace(updated, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(updated, ':60.', ':59.'), '+0 days')
                   THEN (SELECT created FROM feed_head) ELSE updated END,
    -- A character has at most four bytes.
    event_type = CAST(CASE WHEN length(CAST(event_type AS BLOB)) > 2000
                           THEN substr(CAST(event_type AS TEXT), 1, 500) ELSE event_type END AS TEXT),
    subject = CAST(CASE WHEN length(CAST(subject AS BLOB)) > 2000
                        THEN substr(CAST(subject AS TEXT), 1, 500) ELSE subject END AS TEXT),
    title = CAST(CASE WHEN length(CAST(title AS BLOB)) > 20000
                      THEN substr(CAST(title AS TEXT), 1, 5000) ELSE title END AS TEXT),
    summary = CAST(CASE WHEN length(CAST(summary AS BLOB)) > 20000
                        THEN substr(CAST(summary AS TEXT), 1, 5000) ELSE summary END AS TEXT),
    link = CAST(CASE WHEN length(CAST(link AS BLOB)) > 20000
                     THEN substr(CAST(link AS TEXT), 1, 5000) ELSE link END AS TEXT),
    data = CASE WHEN typeof(data) = 'text' AND json_valid(data) THEN data ELSE '' END,
    traceparent = CASE WHEN typeof(traceparent) = 'text' THEN traceparent END
WHERE sequence IN (SELECT sequence FROM temp.unserved);

UPDATE feed_archive SET time = updated
WHERE sequence IN (SELECT sequence FROM temp.unserved)
  AND (typeof(time) <> 'text' OR time < '0001'
             OR replace(time, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(time, ':60.', ':59.'), '+0 days'));

DROP TABLE temp.unserved;

UPDATE feed_head SET anchor = (SELECT id FROM feed_log WHERE feed_log.sequence = feed_head.sequence)
WHERE sequence > 0 AND EXISTS (SELECT 1 FROM feed_log WHERE feed_log.sequence = feed_head.sequence);

-- Not while a database is filled with what another one has published: its head comes last.
CREATE TRIGGER feed_accepts BEFORE INSERT ON feed_event WHEN EXISTS (SELECT 1 FROM feed_head)
BEGIN
    SELECT RAISE(ABORT, 'the event cannot be published: its sequence is not a number from 1 on') WHERE typeof(NEW.sequence) <> 'integer' OR NEW.sequence NOT BETWEEN 1 AND 9007199254740992;
    SELECT RAISE(ABORT, 'the event cannot be published: its id is not a UUID in lower case') WHERE typeof(NEW.id) <> 'text'
        OR NEW.id NOT GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]';
    SELECT RAISE(ABORT, 'the event cannot be published: its id is that of another event') WHERE EXISTS (SELECT 1 FROM feed_event WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM feed_archive WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'the event cannot be published: its sequence is that of another event') WHERE EXISTS (SELECT 1 FROM feed_event WHERE sequence = NEW.sequence)
        OR EXISTS (SELECT 1 FROM feed_archive WHERE sequence = NEW.sequence);
    SELECT RAISE(ABORT, 'the event cannot be published: its type is not a text of 1 to 2000 bytes') WHERE typeof(NEW.event_type) <> 'text'
        OR length(CAST(NEW.event_type AS BLOB)) NOT BETWEEN 1 AND 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its type has white space around it') WHERE NEW.event_type <>
        trim(NEW.event_type, char(9, 10, 11, 12, 13, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202,
                    8232, 8233, 8239, 8287, 12288));
    SELECT RAISE(ABORT, 'the event cannot be published: its subject is not a text of 1 to 2000 bytes') WHERE typeof(NEW.subject) <> 'text'
        OR length(CAST(NEW.subject AS BLOB)) NOT BETWEEN 1 AND 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its subject has white space around it') WHERE NEW.subject <>
        trim(NEW.subject, char(9, 10, 11, 12, 13, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202,
                    8232, 8233, 8239, 8287, 12288));
    SELECT RAISE(ABORT, 'the event cannot be published: its time is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.time) <> 'text' OR NEW.time < '0001'
        OR replace(NEW.time, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.time, ':60.', ':59.'), '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be published: its time of publication is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.updated) <> 'text' OR NEW.updated < '0001'
        OR replace(NEW.updated, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.updated, ':60.', ':59.'), '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be published: its title is not a text of at most 2000 bytes') WHERE typeof(NEW.title) <> 'text'
        OR length(CAST(NEW.title AS BLOB)) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its summary is not a text of at most 2000 bytes') WHERE typeof(NEW.summary) <> 'text'
        OR length(CAST(NEW.summary AS BLOB)) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its link is not a text of at most 2000 bytes') WHERE typeof(NEW.link) <> 'text'
        OR length(CAST(NEW.link AS BLOB)) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its traceparent is not one of version 00') WHERE NEW.traceparent NOT GLOB
        '00-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f]'
        OR typeof(NEW.traceparent) NOT IN ('text', 'null');
    SELECT RAISE(ABORT, 'the event cannot be published: one of its texts has a byte 0') WHERE instr(CAST(NEW.event_type || NEW.subject || NEW.title || NEW.summary || NEW.link || NEW.data AS BLOB), x'00') > 0;
    SELECT RAISE(ABORT, 'the event cannot be published: its data is not a text of at most 1 MiB') WHERE typeof(NEW.data) <> 'text' OR length(CAST(NEW.data AS BLOB)) > 1048576;
    SELECT RAISE(ABORT, 'the event cannot be published: its data is not JSON') WHERE NOT json_valid(NEW.data);
    -- Where doubled backslashes are away, the others begin an escape.
    SELECT RAISE(ABORT, 'the event cannot be published: its data has half of a surrogate pair') WHERE NEW.data GLOB '*\u[dD][89a-fA-F]*' AND EXISTS (
        SELECT 1 FROM (SELECT '      ' || replace(NEW.data, '\\', '') AS text)
        WHERE text GLOB '*\u[dD][89abAB][0-9a-fA-F][0-9a-fA-F][^\]*'
           OR text GLOB '*\u[dD][89abAB][0-9a-fA-F][0-9a-fA-F]\[^u]*'
           OR text GLOB '*\u[dD][89abAB][0-9a-fA-F][0-9a-fA-F]\u[^dD]*'
           OR text GLOB '*\u[dD][89abAB][0-9a-fA-F][0-9a-fA-F]\u[dD][^c-fC-F]*'
           OR text GLOB '*[^\]?????\u[dD][c-fC-F]*'
           OR text GLOB '*\[^u]????\u[dD][c-fC-F]*'
           OR text GLOB '*\u[^dD]???\u[dD][c-fC-F]*'
           OR text GLOB '*\u[dD][^89abAB]??\u[dD][c-fC-F]*');
    SELECT RAISE(ABORT, 'the event cannot be published: its data has more than 100 levels') WHERE 
        2 * length(NEW.data) - length(replace(NEW.data, '[', '')) - length(replace(NEW.data, '{', '')) > 100
        AND EXISTS (
            WITH RECURSIVE level (n, part) AS (
                SELECT 1, NEW.data WHERE json_type(NEW.data) IN ('array', 'object')
                UNION ALL
                SELECT n + 1, value FROM level, json_each(part) WHERE n <= 100 AND type IN ('array', 'object'))
            SELECT 1 FROM level WHERE n > 100);
END;

-- Older events may be beyond the limits of new ones and harm nobody. Data that cannot be read is empty.
CREATE TRIGGER feed_event_serves BEFORE UPDATE ON feed_event
BEGIN
    SELECT RAISE(ABORT, 'the event cannot be served: its id is not a UUID in lower case') WHERE typeof(NEW.id) <> 'text'
        OR NEW.id NOT GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]';
    SELECT RAISE(ABORT, 'the event cannot be served: its time is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.time) <> 'text' OR NEW.time < '0001'
        OR replace(NEW.time, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.time, ':60.', ':59.'), '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be served: its time of publication is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.updated) <> 'text' OR NEW.updated < '0001'
        OR replace(NEW.updated, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.updated, ':60.', ':59.'), '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be served: one of its columns is not text') WHERE typeof(NEW.event_type) || typeof(NEW.subject) || typeof(NEW.title)
        || typeof(NEW.summary) || typeof(NEW.link) <> 'texttexttexttexttext'
        OR typeof(NEW.traceparent) NOT IN ('text', 'null');
    SELECT RAISE(ABORT, 'the event cannot be served: its type or subject has more than 2000 bytes') WHERE max(
        length(CAST(NEW.event_type AS BLOB)), length(CAST(NEW.subject AS BLOB))) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be served: its title, summary or link has more than 20000 bytes') WHERE max(
        length(CAST(NEW.title AS BLOB)), length(CAST(NEW.summary AS BLOB)), length(CAST(NEW.link AS BLOB))) > 20000;
    SELECT RAISE(ABORT, 'the event cannot be served: its data is not JSON') WHERE typeof(NEW.data) <> 'text' OR NEW.data <> '' AND NOT json_valid(NEW.data);
END;

CREATE TRIGGER feed_archive_serves BEFORE UPDATE ON feed_archive
BEGIN
    SELECT RAISE(ABORT, 'the event cannot be served: its id is not a UUID in lower case') WHERE typeof(NEW.id) <> 'text'
        OR NEW.id NOT GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]';
    SELECT RAISE(ABORT, 'the event cannot be served: its time is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.time) <> 'text' OR NEW.time < '0001'
        OR replace(NEW.time, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.time, ':60.', ':59.'), '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be served: its time of publication is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.updated) <> 'text' OR NEW.updated < '0001'
        OR replace(NEW.updated, ':60.', ':59.') IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.updated, ':60.', ':59.'), '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be served: one of its columns is not text') WHERE typeof(NEW.event_type) || typeof(NEW.subject) || typeof(NEW.title)
        || typeof(NEW.summary) || typeof(NEW.link) <> 'texttexttexttexttext'
        OR typeof(NEW.traceparent) NOT IN ('text', 'null');
    SELECT RAISE(ABORT, 'the event cannot be served: its type or subject has more than 2000 bytes') WHERE max(
        length(CAST(NEW.event_type AS BLOB)), length(CAST(NEW.subject AS BLOB))) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be served: its title, summary or link has more than 20000 bytes') WHERE max(
        length(CAST(NEW.title AS BLOB)), length(CAST(NEW.summary AS BLOB)), length(CAST(NEW.link AS BLOB))) > 20000;
    SELECT RAISE(ABORT, 'the event cannot be served: its data is not JSON') WHERE typeof(NEW.data) <> 'text' OR NEW.data <> '' AND NOT json_valid(NEW.data);
END;

-- An operator corrects a published event by UPDATE. No date hides that: the second is closed anew.
CREATE TRIGGER feed_event_corrected AFTER UPDATE OF id, event_type, subject, time, updated, title, summary, link ON feed_event
BEGIN
    UPDATE feed_head
    SET revision = revision + 1, closed_sequence = -1,
        updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated, coalesce(closed_until, updated));
END;

CREATE TRIGGER feed_archive_corrected AFTER UPDATE OF id, event_type, subject, time, updated, title, summary, link ON feed_archive
BEGIN
    UPDATE feed_head
    SET revision = revision + 1, closed_sequence = -1,
        updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated, coalesce(closed_until, updated));
END;

-- Another program has written into the log itself, or the head was put back: what has a number keeps it, since
-- readers may have seen it, and the events between are published before it.
CREATE VIEW feed_next AS
SELECT 1 + coalesce(
    (SELECT min(taken.sequence) FROM feed_event AS taken
     WHERE taken.sequence > feed_head.sequence
       AND EXISTS (SELECT 1 FROM feed_event WHERE feed_event.sequence = feed_head.sequence + 1)
       AND NOT EXISTS (SELECT 1 FROM feed_event WHERE feed_event.sequence = taken.sequence + 1)),
    sequence) AS sequence
FROM feed_head;

CREATE TRIGGER feed_event_beyond AFTER INSERT ON feed_event
WHEN NEW.sequence > (SELECT sequence FROM feed_head)
     AND NOT EXISTS (SELECT 1 FROM feed_event JOIN feed_head ON feed_event.sequence > feed_head.sequence
                     WHERE feed_event.sequence = NEW.sequence - 1)
BEGIN
    INSERT INTO feed_quarantine (reason, sequence, id)
    VALUES ('this event was written into the log beyond the head of the feed, and is published when that gets there',
            NEW.sequence, NEW.id);
END;

-- What applications insert into. An event gets its number at once: SQLite has one writer at a time.
CREATE VIEW feed_outbox AS
SELECT id, event_type, subject, time, title, summary, link, data, traceparent FROM feed_event WHERE FALSE;

CREATE TRIGGER feed_outbox_number INSTEAD OF INSERT ON feed_outbox
BEGIN
    SELECT RAISE(ABORT, 'there is no feed here yet: the service makes it when it first starts')
    WHERE NOT EXISTS (SELECT 1 FROM feed_head);
    -- `updated` never goes back, and is never within a closed second.
    UPDATE feed_head SET
        sequence = (SELECT sequence FROM feed_next),
        anchor = coalesce(NEW.id, lower(
            hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a'
            || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
        updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated, coalesce(closed_until, updated));
    INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title, summary, link, data,
                            traceparent)
    SELECT sequence, anchor, NEW.event_type, NEW.subject, coalesce(NEW.time, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
           updated, NEW.title, NEW.summary, NEW.link, NEW.data, NEW.traceparent
    FROM feed_head;
END;
