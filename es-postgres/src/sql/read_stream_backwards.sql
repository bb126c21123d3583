-- $1 aggregate type, $2 aggregate id, $3 lowest version, $4 highest version, $5 how many events
--
-- One row at least, which tells the stream's version.
SELECT
    e.position,
    e.event_id,
    e.aggregate_version,
    e.event_type,
    e.created_at,
    e.metadata,
    e.event_data,
    head.version
FROM (
    SELECT coalesce(max(aggregate_version), 0)::bigint AS version
    FROM "{schema}"."{events}"
    WHERE aggregate_type = $1
        AND aggregate_id = $2
) head
LEFT JOIN LATERAL (
    SELECT *
    FROM "{schema}"."{events}"
    WHERE aggregate_type = $1
        AND aggregate_id = $2
        AND aggregate_version BETWEEN $3 AND $4
    ORDER BY aggregate_version DESC
    LIMIT $5
) e ON TRUE
ORDER BY e.aggregate_version DESC
