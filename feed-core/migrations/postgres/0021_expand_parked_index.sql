-- The trigger of 0019 looks for the events of a subject. While the table is small or not analyzed, the index that began with the
-- subscription alone looked as good for that, and the plan is kept: an import then read all parked events for each of them.
--
-- "Expand": what programs of before ask for by partition has both columns.

DROP INDEX feed_parked_by_partition;
CREATE INDEX feed_parked_by_partition ON feed_parked (partition, subscription);
