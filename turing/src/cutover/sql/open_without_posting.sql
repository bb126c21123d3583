-- How many open discrepancies are of rows whose key is no posting's id.
SELECT pg_catalog.count(*)
FROM "{schema}".cutover_open_discrepancies o
WHERE o.posting_id IS NULL
