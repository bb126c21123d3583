-- $1 position before the first, $2 last position, $3 how many events
SELECT
    position,
    event_id,
    aggregate_version,
    event_type,
    created_at,
    metadata,
    event_data,
    aggregate_type,
    aggregate_id::text
FROM "{schema}"."{events}"
WHERE position > $1
    AND position <= $2
ORDER BY position
LIMIT $3
