-- The outbox refuses what readers cannot take, as `outbox::append` does: a number that no double holds, since no reader of
-- JSON would get the event; a type or subject that is another one in Atom; a traceparent whose ids are zero; text that is
-- not UTF-8.
--
-- "Expand": a program that appends by `outbox::append` is refused nothing that it was not refused before.

DROP TRIGGER feed_accepts;

-- As in 0004, with these four. Not while a database is filled with what another one has published: its head comes last.
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
