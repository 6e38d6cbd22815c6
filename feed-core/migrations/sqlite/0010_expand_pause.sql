-- Operators pause a subscription, and take an instance out of it.
--
-- "Expand": programs that do not know of them leave them alone. They do not pause either: all instances have to run
-- this version before a pause holds.

ALTER TABLE feed_subscription ADD COLUMN paused_at TEXT;       -- NULL: it is not paused
ALTER TABLE feed_subscription ADD COLUMN paused_by TEXT;       -- the operator
ALTER TABLE feed_subscription ADD COLUMN paused_because TEXT;

ALTER TABLE feed_instance ADD COLUMN version TEXT;             -- of its program; NULL: an older one
ALTER TABLE feed_instance ADD COLUMN started_at TEXT;
ALTER TABLE feed_instance ADD COLUMN retired_at TEXT;          -- since when it takes no partitions; NULL: it does
ALTER TABLE feed_instance ADD COLUMN retired_by TEXT;          -- the operator
ALTER TABLE feed_instance ADD COLUMN retired_because TEXT;
