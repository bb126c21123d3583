-- $1 aggregate type, $2 aggregate id, $3 idempotency key
WITH first AS (
    SELECT aggregate_type, aggregate_id, aggregate_version, append_size, append_id, append_part
    FROM "{schema}"."{events}"
    WHERE aggregate_type = $1
        AND aggregate_id = $2
        AND idempotency_key = $3
),
parts AS (
    SELECT aggregate_type, aggregate_id, aggregate_version, append_size, append_part FROM first
    UNION
    SELECT
        other.aggregate_type,
        other.aggregate_id,
        other.aggregate_version,
        other.append_size,
        other.append_part
    FROM first
    JOIN "{schema}"."{events}" other ON other.append_id = first.append_id
)
SELECT
    e.position,
    e.event_id,
    e.aggregate_version,
    e.event_type,
    e.created_at,
    e.metadata,
    e.event_data,
    e.aggregate_type,
    e.aggregate_id::text
FROM parts
CROSS JOIN LATERAL (
    SELECT *
    FROM "{schema}"."{events}" event
    WHERE event.aggregate_type = parts.aggregate_type
        AND event.aggregate_id = parts.aggregate_id
        AND event.aggregate_version >= parts.aggregate_version
        AND event.aggregate_version < parts.aggregate_version::bigint + greatest(parts.append_size, 1)
    ORDER BY event.aggregate_version
    -- one more than an append has: who wrote a size by hand is told apart
    LIMIT 100001
) e
ORDER BY parts.append_part, e.position
LIMIT 100001
