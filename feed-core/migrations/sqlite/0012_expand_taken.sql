-- How old the oldest event is that is not taken.
--
-- "Expand": programs that do not know of it leave it NULL.

ALTER TABLE feed_instance ADD COLUMN taken_until TEXT;         -- all events that were published before are taken; NULL: not known
