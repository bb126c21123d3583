-- $1 posting or null, $2 kind or null, $3 and $4 behind which posting and kind, or null, $5 how many
--
-- Postings of which discrepancies of a kind are open.
SELECT DISTINCT o.posting_id, o.kind
FROM "{schema}".cutover_open_discrepancies o
WHERE o.posting_id = coalesce($1, o.posting_id)
    AND o.kind = coalesce($2, o.kind)
    AND ($3::int IS NULL OR (o.posting_id, o.kind) > ($3, $4))
ORDER BY o.posting_id, o.kind
LIMIT $5
