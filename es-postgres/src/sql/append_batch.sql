-- $1 aggregate types, $2 aggregate ids, $3 expected versions, or -1 for any, -2 for a stream that
-- exists, $4 event ids, $5 event types, $6 event data, $7 metadata, $8 recorded at
--
-- One event to each of several streams. Streams are different, and sorted, so that two statements take
-- the entries of the unique indexes in the same order and cannot wait for one another; event ids are
-- different, too, and tell what was written. What is left out is of a stream that is not as expected,
-- and unique_violation means that another transaction was faster: the migrated function then says
-- what it is.
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
        e.aggregate_type,
        e.aggregate_id,
        coalesce(h.aggregate_version, 0) + 1,
        e.event_type,
        e.event_data,
        e.metadata,
        $8
    FROM unnest(
            $1::text[], $2::{id}[], $3::bigint[], $4::uuid[], $5::text[], $6::jsonb[], $7::jsonb[]
        ) e (aggregate_type, aggregate_id, expected, event_id, event_type, event_data, metadata)
    LEFT JOIN LATERAL (
        SELECT s.aggregate_version
        FROM "{schema}"."{events}" s
        WHERE s.aggregate_type = e.aggregate_type
            AND s.aggregate_id = e.aggregate_id
        ORDER BY s.aggregate_version DESC
        LIMIT 1
    ) h ON TRUE
    WHERE e.expected = coalesce(h.aggregate_version, 0)
        OR e.expected = -1
        OR (e.expected = -2 AND h.aggregate_version > 0)
    RETURNING event_id, aggregate_version, position
)
SELECT array_agg(w.event_id), array_agg(w.aggregate_version), array_agg(w.position)
FROM written w
