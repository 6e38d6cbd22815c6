-- For lists of one status or some days. Each index ends with the order, by which lists are sorted, newest first.
CREATE INDEX shipment_of_status ON shipment (status, order_id);
CREATE INDEX shipment_by_day ON shipment (placed_at, order_id);
