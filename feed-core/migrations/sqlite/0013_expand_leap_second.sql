-- A time with a second 60 becomes the next second, as on PostgreSQL: RFC 3339 has a second 60 at leap seconds alone, and
-- many parsers never. What is stored with one stays as it is, since the bytes of published pages never change (I3).
--
-- "Expand": what was accepted before is accepted now.

DROP TRIGGER feed_accepts;

-- As in 0008, without a second 60.
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
        OR NEW.time IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.time, '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be published: its time of publication is not like 2026-01-31T23:59:59.999Z, from year 1 on') WHERE typeof(NEW.updated) <> 'text' OR NEW.updated < '0001'
        OR NEW.updated IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.updated, '+0 days');
    SELECT RAISE(ABORT, 'the event cannot be published: its title is not a text of at most 2000 bytes') WHERE typeof(NEW.title) <> 'text'
        OR length(CAST(NEW.title AS BLOB)) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its summary is not a text of at most 2000 bytes') WHERE typeof(NEW.summary) <> 'text'
        OR length(CAST(NEW.summary AS BLOB)) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its link is not a text of at most 2000 bytes') WHERE typeof(NEW.link) <> 'text'
        OR length(CAST(NEW.link AS BLOB)) > 2000;
    SELECT RAISE(ABORT, 'the event cannot be published: its traceparent is not one of version 00') WHERE NEW.traceparent NOT GLOB
        '00-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f]'
        OR NEW.traceparent GLOB '*-00000000000000000000000000000000-*' OR NEW.traceparent GLOB '*-0000000000000000-*'
        OR typeof(NEW.traceparent) NOT IN ('text', 'null');
    SELECT RAISE(ABORT, 'the event cannot be published: its type or subject has a character that XML does not have')
    WHERE NEW.event_type || NEW.subject GLOB
              '*[' || char(1) || '-' || char(8) || char(11) || char(12) || char(14) || '-' || char(31) || ']*'
       OR instr(NEW.event_type || NEW.subject, char(65534)) > 0 OR instr(NEW.event_type || NEW.subject, char(65535)) > 0;
    -- GLOB reads what is not UTF-8 as U+FFFD, or one byte as a character of U+0080 to U+00BF, which begins with C2 in UTF-8.
    -- A text of Latin-1 is found so; a character of four bytes that is cut is not.
    SELECT RAISE(ABORT, 'the event cannot be published: one of its texts is not UTF-8') WHERE EXISTS (
        SELECT 1 FROM (SELECT NEW.event_type || NEW.subject || NEW.title || NEW.summary || NEW.link || NEW.data AS text)
        WHERE text GLOB '*[^' || char(1) || '-' || char(127) || ']*'
          AND (replace(replace(replace(text, char(65533), ''), char(65534), ''), char(65535), '')
                   GLOB '*[' || char(65533) || ']*'
               OR text GLOB '*[' || char(128) || '-' || char(191) || ']*' AND instr(CAST(text AS BLOB), x'C2') = 0));
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
    SELECT RAISE(ABORT, 'the event cannot be published: its data has a number that no double can hold') WHERE EXISTS (
        SELECT 1 FROM json_tree(NEW.data)
        WHERE type IN ('integer', 'real') AND abs(CAST(value AS REAL)) > 1.7976931348623157e308);
END;

DROP TRIGGER feed_outbox_number;

-- As in 0007, with the next second for a second 60. One that would be in the year 10000 stays, and is refused.
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
    -- A character has at most four bytes, so that type and subject fit into a title.
    INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title, summary, link, data,
                            traceparent)
    SELECT sequence, anchor, NEW.event_type, NEW.subject, coalesce(
               iif(typeof(NEW.time) = 'text' AND instr(NEW.time, ':60.') > 0
                   AND replace(NEW.time, ':60.', ':59.')
                       = strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.time, ':60.', ':59.'), '+0 days'),
                   strftime('%Y-%m-%dT%H:%M:%fZ', replace(NEW.time, ':60.', ':59.'), '+1 second'), NULL),
               NEW.time, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
           updated,
           coalesce(NEW.title, substr(NEW.event_type || ': ' || NEW.subject, 1, 500)),
           coalesce(NEW.summary, NEW.title, substr(NEW.event_type || ': ' || NEW.subject, 1, 500)),
           coalesce(NEW.link, 'events/' || anchor), NEW.data, NEW.traceparent
    FROM feed_head;
END;

-- A correction writes no such time either.
CREATE TRIGGER feed_event_leaps BEFORE UPDATE OF time, updated ON feed_event
WHEN NEW.time IS NOT OLD.time AND instr(NEW.time, ':60.') > 0 OR NEW.updated IS NOT OLD.updated AND instr(NEW.updated, ':60.') > 0
BEGIN
    SELECT RAISE(ABORT, 'the event cannot be served: its time has a second 60, which few readers know; write the second after it');
END;

CREATE TRIGGER feed_archive_leaps BEFORE UPDATE OF time, updated ON feed_archive
WHEN NEW.time IS NOT OLD.time AND instr(NEW.time, ':60.') > 0 OR NEW.updated IS NOT OLD.updated AND instr(NEW.updated, ':60.') > 0
BEGIN
    SELECT RAISE(ABORT, 'the event cannot be served: its time has a second 60, which few readers know; write the second after it');
END;
