-- $1 behind which posting, or null, $2 how many
--
-- Postings that have events.
SELECT p.posting_id
FROM "{schema}".posting_state_rows p
WHERE $1::int IS NULL OR p.posting_id > $1
ORDER BY p.posting_id
LIMIT $2
