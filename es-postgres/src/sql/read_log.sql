-- $1 position before the first, $2 last position, $3 how many events, $4 bytes as stored after
-- which no further event is sent
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
FROM (
    SELECT
        *,
        row_number() OVER (ORDER BY position) AS number,
        sum(pg_column_size(event_data)) OVER (
            ORDER BY position
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
    FROM "{schema}"."{events}"
    WHERE position > $1
        AND position <= $2
    ORDER BY position
    LIMIT $3
) looked
WHERE number <= 2
    OR bytes_before <= $4
ORDER BY position
