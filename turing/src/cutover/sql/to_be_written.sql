-- $1 postings, $2 kinds of differences
--
-- Those whose rows in the old table are to become what the events say; a difference that somebody has
-- accepted stays.
SELECT DISTINCT d.posting_id
FROM "{schema}".cutover_differences($1) d
WHERE d.kind = ANY ($2)
    AND NOT "{schema}".cutover_is_accepted(d.posting_id, d.kind, d.field, d.old, d.new)
ORDER BY d.posting_id
