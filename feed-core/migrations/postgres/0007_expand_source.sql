-- How the feed presents itself, as far as all instances have to agree on it.
--
-- "Expand": programs that do not know of these columns leave them alone.

SET LOCAL lock_timeout = '5s';

ALTER TABLE feed_head
    ADD COLUMN source       TEXT,        -- CloudEvents source: BASE_URL at the first start; never changes
    ADD COLUMN presentation BIGINT,      -- digest of what documents contain beside events, at the last start
    ADD COLUMN presented    TIMESTAMPTZ; -- when that digest changed last
