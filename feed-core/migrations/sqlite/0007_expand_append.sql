-- The outbox for programs in other languages: what an INSERT may leave out.
--
-- "Expand": what was accepted before is accepted now, and is stored as before.

DROP TRIGGER feed_outbox_number;

-- As in 0004; an event that says nothing for people gets its type and subject, and the address of its data.
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
    SELECT sequence, anchor, NEW.event_type, NEW.subject, coalesce(NEW.time, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
           updated,
           coalesce(NEW.title, substr(NEW.event_type || ': ' || NEW.subject, 1, 500)),
           coalesce(NEW.summary, NEW.title, substr(NEW.event_type || ': ' || NEW.subject, 1, 500)),
           coalesce(NEW.link, 'events/' || anchor), NEW.data, NEW.traceparent
    FROM feed_head;
END;
