-- The id of the event that the shipment was made from; NULL: an older version made it. Another feed may
-- use the numbers of orders again: so its events are told from those that come a second time.
ALTER TABLE shipment ADD COLUMN cause TEXT;
