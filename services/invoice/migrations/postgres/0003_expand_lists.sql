-- For lists of one status or some days. Each index ends with the order, by which lists are sorted, newest first.
CREATE INDEX invoice_of_status ON invoice (status, order_id);
CREATE INDEX invoice_by_day ON invoice (issued_at, order_id);
