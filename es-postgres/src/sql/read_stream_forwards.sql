-- $1 aggregate type, $2 aggregate id, $3 lowest version, $4 highest version, $5 how many events,
-- $6 whether with what they say
--
-- One row at least, which tells the stream's version. The page is in order as it comes from the index: an
-- ORDER BY of all rows would sort them again.
SELECT
    e.position,
    e.event_id,
    e.aggregate_version,
    e.event_type,
    e.created_at,
    CASE WHEN $6::bool THEN e.metadata END,
    CASE WHEN $6::bool THEN e.event_data END,
    head.version
FROM (
    SELECT coalesce(
        (
            SELECT aggregate_version
            FROM "{schema}"."{events}"
            WHERE aggregate_type = $1
                AND aggregate_id = $2
            ORDER BY aggregate_version DESC
            LIMIT 1
        ),
        0
    )::bigint AS version
) head
LEFT JOIN LATERAL (
    SELECT *
    FROM "{schema}"."{events}"
    WHERE aggregate_type = $1
        AND aggregate_id = $2
        AND aggregate_version BETWEEN $3 AND $4
    ORDER BY aggregate_version
    LIMIT $5
) e ON TRUE
