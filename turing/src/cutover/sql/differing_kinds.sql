-- What differs between the old table and the events now, whether it was recorded or not.
SELECT d.kind, pg_catalog.count(*)
FROM "{schema}".cutover_differences(NULL) d
GROUP BY d.kind
ORDER BY d.kind
