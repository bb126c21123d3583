-- $1 event ids
SELECT
    aggregate_type,
    aggregate_id::text,
    min(aggregate_version),
    max(aggregate_version),
    array_agg(DISTINCT position)
FROM "{schema}"."{events}"
WHERE event_id = ANY ($1)
GROUP BY aggregate_type, aggregate_id
