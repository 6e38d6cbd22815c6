-- White space around an entry's id is not part of it (RFC 4287, section 2). Versions before this one
-- stored it: what they took or skipped must not come again under the id alone.
--
-- "Expand": the old rows stay for programs that still store ids with white space.

INSERT INTO feed_claim (subscription, event_id, sequence, claimed)
SELECT subscription, btrim(event_id, E' \t\r\n'), sequence, claimed
FROM feed_claim
WHERE event_id <> btrim(event_id, E' \t\r\n')
ON CONFLICT DO NOTHING;

INSERT INTO feed_skip (subscription, event_id, subject, event_type, sequence, reason, skipped_by, skipped_at)
SELECT subscription, btrim(event_id, E' \t\r\n'), subject, event_type, sequence, reason, skipped_by, skipped_at
FROM feed_skip
WHERE event_id <> btrim(event_id, E' \t\r\n')
ON CONFLICT DO NOTHING;
