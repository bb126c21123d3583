-- $1 correlation id, $2 the same as an event id, if it is one
--
-- The first event of a correlation may have none itself: it is then called by its own id.
SELECT
    aggregate_type,
    aggregate_id::text,
    min(aggregate_version),
    max(aggregate_version),
    array_agg(DISTINCT position)
FROM (
    SELECT aggregate_type, aggregate_id, aggregate_version, position
    FROM "{schema}"."{events}"
    WHERE metadata ->> 'correlation_id' = $1
    UNION ALL
    SELECT aggregate_type, aggregate_id, aggregate_version, position
    FROM "{schema}"."{events}"
    WHERE event_id = $2
) found
GROUP BY aggregate_type, aggregate_id
