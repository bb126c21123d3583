-- $1 posting or null, $2 kind or null, $3 which side counts
--
-- How many discrepancies are open of each kind that would be resolved so, and how many of these would be refused,
-- because the old row would be emptied. A row whose key is no posting's id can be accepted, and no more.
SELECT
    o.kind,
    pg_catalog.count(*),
    pg_catalog.count(*) FILTER (WHERE $3 = 'from-events' AND "{schema}".cutover_would_empty(o.posting_id))
FROM "{schema}".cutover_open_discrepancies o
WHERE ($1::int IS NULL OR o.posting_id = $1)
    AND o.kind = coalesce($2, o.kind)
    AND (o.posting_id IS NOT NULL OR $3::text = 'accepted')
GROUP BY o.kind
ORDER BY o.kind
