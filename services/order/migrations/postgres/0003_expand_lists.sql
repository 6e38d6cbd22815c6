-- For lists of one customer, one status or some days. Each ends with the id, by which lists are sorted, newest first.
CREATE INDEX orders_of_customer ON orders (customer_id, id);
CREATE INDEX orders_of_status ON orders (status, id);
CREATE INDEX orders_by_day ON orders (placed, id);
