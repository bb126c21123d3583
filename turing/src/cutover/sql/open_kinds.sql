-- $1 how many examples of each kind
--
-- The open discrepancies, each kind with how many there are; why one was accepted as it was before, if it was.
SELECT
    d.kind, d.count, d.posting_id, d.field, d.old, d.new, d.first_seen, d.last_seen, d.sightings,
    a.reason
FROM (
    SELECT
        o.*,
        pg_catalog.count(*) OVER (PARTITION BY o.kind) AS count,
        pg_catalog.row_number() OVER (PARTITION BY o.kind ORDER BY o.posting_id, o.field) AS place
    FROM "{schema}".cutover_open_discrepancies o
) d
LEFT JOIN "{schema}".cutover_discrepancies a ON a.discrepancy_id = d.accepted_before
WHERE d.place <= $1
ORDER BY d.kind, d.place
