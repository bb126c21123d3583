-- $1 aggregate type, $2 aggregate id, $3 expected version, or -1 for any, -2 for a stream that
-- exists, $4 recorded at, $5 event ids, $6 event types, $7 event data, $8 metadata
--
-- Several events to one stream, and their places in one row. Nulls if the stream is not as expected,
-- and unique_violation if another transaction was faster: the migrated function then says what it is.
-- OFFSET keeps the head a query of its own: merged into this one it is looked up for each use.
WITH written AS (
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
        e.event_id,
        $1,
        $2,
        head.version + e.number,
        e.event_type,
        e.event_data,
        e.metadata,
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
    CROSS JOIN unnest($5::uuid[], $6::text[], $7::jsonb[], $8::jsonb[]) WITH ORDINALITY
        e (event_id, event_type, event_data, metadata, number)
    WHERE ($3::bigint = head.version OR $3::bigint = -1 OR ($3::bigint = -2 AND head.version > 0))
    RETURNING aggregate_version, position
)
SELECT min(w.aggregate_version), array_agg(w.position ORDER BY w.aggregate_version)
FROM written w
