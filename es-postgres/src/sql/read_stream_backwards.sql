-- $1 aggregate type, $2 aggregate id, $3 lowest version, $4 highest version, $5 how many events,
-- $6 bytes as stored after which no further event is sent
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
    FROM (
        SELECT
            *,
            row_number() OVER (ORDER BY aggregate_version DESC) AS number,
            sum(pg_column_size(event_data)) OVER (
                ORDER BY aggregate_version DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM "{schema}"."{events}"
        WHERE aggregate_type = $1
            AND aggregate_id = $2
            AND aggregate_version BETWEEN $3 AND $4
        ORDER BY aggregate_version DESC
        LIMIT $5
    ) looked
    WHERE number <= 2
        OR bytes_before <= $6
) e ON TRUE
ORDER BY e.aggregate_version DESC
