-- The id of the event that the invoice was made from; NULL: an older version made it. Another feed may
-- use the numbers of orders again: so its events are told from those that come a second time.
ALTER TABLE invoice ADD COLUMN cause TEXT;
