-- How the feed presents itself, as far as all instances have to agree on it.
--
-- "Expand": programs that do not know of these columns leave them alone.

ALTER TABLE feed_head ADD COLUMN source       TEXT;    -- CloudEvents source: BASE_URL at the first start; never changes
ALTER TABLE feed_head ADD COLUMN presentation INTEGER; -- digest of what documents contain beside events, at the last start
ALTER TABLE feed_head ADD COLUMN presented    TEXT;    -- when that digest changed last
