-- $1 position before the first, $2 last position, $3 how many events, $4 whether with what they say
SELECT
    position,
    event_id,
    aggregate_version,
    event_type,
    created_at,
    CASE WHEN $4::bool THEN metadata END,
    CASE WHEN $4::bool THEN event_data END,
    aggregate_type,
    aggregate_id::text
FROM "{schema}"."{events}"
WHERE position > $1
    AND position <= $2
ORDER BY position
LIMIT $3
