-- What operators look for: which feed an instance follows, and what became of a subject.
--
-- "Expand": programs that do not know of them leave them alone.

ALTER TABLE feed_instance ADD COLUMN feed TEXT;        -- the address of the feed, without secrets; NULL: an older program

CREATE INDEX feed_skip_by_subject ON feed_skip (subscription, subject);
