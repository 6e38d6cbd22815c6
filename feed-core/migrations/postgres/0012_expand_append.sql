-- The outbox for programs in other languages: what an INSERT may leave out, and a function for the shortest form.
--
-- "Expand": what was accepted before is accepted now, and is stored as before.

SET LOCAL lock_timeout = '5s';

-- What people read of an event that says nothing about that. `id` has its default by then.
CREATE FUNCTION feed_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A character has at most four bytes, so both fit.
    NEW.title := COALESCE(NEW.title, left(NEW.event_type || ': ' || NEW.subject, 500));
    NEW.summary := COALESCE(NEW.summary, NEW.title);
    NEW.link := COALESCE(NEW.link, 'events/' || NEW.id);
    RETURN NEW;
END $$;

CREATE TRIGGER feed_complete BEFORE INSERT ON feed_outbox
    FOR EACH ROW WHEN (NEW.title IS NULL OR NEW.summary IS NULL OR NEW.link IS NULL)
    EXECUTE FUNCTION feed_complete();

-- Each returns the id of the event, and needs the right to INSERT alone: RETURNING would need one to SELECT. Their
-- statements are parsed here, so `feed_append` works in a schema that is not in the caller's search_path. A literal is
-- taken for TEXT, which is stored byte for byte.
CREATE FUNCTION feed_append(event_type TEXT, subject TEXT, data TEXT, id UUID DEFAULT gen_random_uuid())
RETURNS UUID
BEGIN ATOMIC
    INSERT INTO feed_outbox (id, event_type, subject, data) VALUES ($4, $1, $2, $3);
    SELECT $4;
END;

CREATE FUNCTION feed_append(event_type TEXT, subject TEXT, data JSON, id UUID DEFAULT gen_random_uuid())
RETURNS UUID
BEGIN ATOMIC
    INSERT INTO feed_outbox (id, event_type, subject, data) VALUES ($4, $1, $2, $3::TEXT);
    SELECT $4;
END;

CREATE FUNCTION feed_append(event_type TEXT, subject TEXT, data JSONB, id UUID DEFAULT gen_random_uuid())
RETURNS UUID
BEGIN ATOMIC
    INSERT INTO feed_outbox (id, event_type, subject, data) VALUES ($4, $1, $2, $3::TEXT);
    SELECT $4;
END;
