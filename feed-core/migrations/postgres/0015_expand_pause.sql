-- Operators pause a subscription, and take an instance out of it.
--
-- "Expand": programs that do not know of them leave them alone. They do not pause either: all instances have to run
-- this version before a pause holds.

ALTER TABLE feed_subscription
    ADD COLUMN paused_at TIMESTAMPTZ,              -- NULL: it is not paused
    ADD COLUMN paused_by TEXT,                     -- the operator
    ADD COLUMN paused_because TEXT;

ALTER TABLE feed_instance
    ADD COLUMN version TEXT,                       -- of its program; NULL: an older one
    ADD COLUMN started_at TIMESTAMPTZ,
    ADD COLUMN retired_at TIMESTAMPTZ,             -- since when it takes no partitions; NULL: it does
    ADD COLUMN retired_by TEXT,                    -- the operator
    ADD COLUMN retired_because TEXT;
