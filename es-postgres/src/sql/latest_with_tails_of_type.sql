-- $1 aggregate types, $2 aggregate ids, $3 lowest versions, $4 highest versions, $5 how many events
--
-- What the statement for one stream answers, for each of several, one after the other in the order in
-- which they are asked for: the snapshot, if there is one, and then one row at least with the tail. All is
-- in order as the plan reads it.
SELECT
    t.position,
    t.event_id,
    t.aggregate_version,
    t.event_type,
    t.created_at,
    t.metadata,
    t.event_data,
    t.stream_version,
    t.is_snapshot,
    r.number
FROM unnest($1::text[], $2::{id}[], $3::int[], $4::int[], $5::bigint[])
    WITH ORDINALITY
    r (aggregate_type, aggregate_id, lowest, highest, most, number)
LEFT JOIN LATERAL (
    SELECT
        s."{snapshot_version}"::int AS aggregate_version,
        coalesce(s."{snapshot_schema}", '') AS schema,
        coalesce(s."{snapshot_taken_at}", TIMESTAMPTZ 'epoch') AS created_at,
        s."{snapshot_state}" AS state,
        s."{snapshot_event}" AS last_event_id
    FROM "{schema}"."{snapshots}" s
    WHERE s."{snapshot_id}" = r.aggregate_id
        AND s."{snapshot_version}" <= r.highest
        AND s."{snapshot_event}" IS NOT NULL
    ORDER BY s."{snapshot_version}" DESC
    LIMIT 1
) k ON TRUE
LEFT JOIN LATERAL (
    SELECT s.aggregate_version
    FROM "{schema}"."{events}" s
    WHERE s.aggregate_type = r.aggregate_type
        AND s.aggregate_id = r.aggregate_id
    ORDER BY s.aggregate_version DESC
    LIMIT 1
) h ON TRUE
CROSS JOIN LATERAL (
    SELECT
        NULL::bigint AS position,
        k.last_event_id AS event_id,
        k.aggregate_version,
        k.schema AS event_type,
        k.created_at,
        NULL::jsonb AS metadata,
        k.state AS event_data,
        NULL::bigint AS stream_version,
        TRUE AS is_snapshot
    WHERE k.last_event_id IS NOT NULL
    UNION ALL
    SELECT
        e.position,
        e.event_id,
        e.aggregate_version,
        e.event_type,
        e.created_at,
        e.metadata,
        e.event_data,
        head.version,
        FALSE
    FROM (SELECT coalesce(h.aggregate_version, 0)::bigint AS version) head
    LEFT JOIN LATERAL (
        SELECT s.*
        FROM "{schema}"."{events}" s
        WHERE s.aggregate_type = r.aggregate_type
            AND s.aggregate_id = r.aggregate_id
            AND s.aggregate_version >= greatest(r.lowest, k.aggregate_version)
            AND s.aggregate_version <= least(r.highest, h.aggregate_version)
        ORDER BY s.aggregate_version
        LIMIT r.most
    ) e ON TRUE
) t
