-- $1 aggregate type, $2 aggregate id, $3 expected version, or -1 for any, -2 for a stream that
-- exists, $4 recorded at, $5 event id, $6 event type, $7 event data, $8 metadata
--
-- One event to one stream. No row if the stream is not as expected, and unique_violation if
-- another transaction was faster: the migrated function then says what it is.
-- OFFSET keeps the head a query of its own: merged into this one it is looked up for each use.
INSERT INTO "{schema}"."{events}" (
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_type,
    event_data,
    metadata,
    created_at
)
SELECT
    $5,
    $1,
    $2,
    head.version + 1,
    $6,
    $7,
    $8,
    $4
FROM (
    SELECT coalesce(
        (
            SELECT e.aggregate_version
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = $1
                AND e.aggregate_id = $2
            ORDER BY e.aggregate_version DESC
            LIMIT 1
        ),
        0
    ) AS version
    OFFSET 0
) head
WHERE ($3::bigint = head.version OR $3::bigint = -1 OR ($3::bigint = -2 AND head.version > 0))
RETURNING aggregate_version, position
