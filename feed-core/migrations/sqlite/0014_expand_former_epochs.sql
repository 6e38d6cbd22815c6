-- The epochs that the feed had, so that a copy for reading knows a cursor of another history from one that is ahead of it.
--
-- "Expand": programs that do not know of this column leave it alone.

ALTER TABLE feed_head ADD COLUMN former_epochs TEXT NOT NULL DEFAULT ''; -- oldest first, a blank after each
