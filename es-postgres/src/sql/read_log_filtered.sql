-- $1 position before the first, $2 last position, $3 how many events, $4 bytes as stored after
-- which no further event is sent, $5 aggregate types or null, $6 event types or null,
-- $7 how many events to look at
--
-- One row at least, which tells how far was looked.
SELECT
    e.position,
    e.event_id,
    e.aggregate_version,
    e.event_type,
    e.created_at,
    e.metadata,
    e.event_data,
    e.aggregate_type,
    e.aggregate_id::text,
    reach.position
FROM (
    SELECT coalesce(
        (
            SELECT position
            FROM "{schema}"."{events}"
            WHERE position > $1
                AND position <= $2
            ORDER BY position
            OFFSET $7 - 1
            LIMIT 1
        ),
        $2
    ) AS position
) reach
LEFT JOIN LATERAL (
    SELECT *
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
            AND position <= reach.position
            AND ($5::text[] IS NULL OR aggregate_type = ANY ($5))
            AND ($6::text[] IS NULL OR event_type = ANY ($6))
        ORDER BY position
        LIMIT $3
    ) looked
    WHERE number <= 2
        OR bytes_before <= $4
) e ON TRUE
ORDER BY e.position
