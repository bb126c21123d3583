-- $1 aggregate type, $2 aggregate id, $3 highest version, $4 how many events
--
-- The snapshot, if there is one, comes first and has its schema in the place of the event's type and
-- its last event in that of the event's id. Then one row at least, which tells the stream's version;
-- the first event is the one that the snapshot should end with. The tail is in order as it comes from the
-- index: an ORDER BY of all rows would sort them again.
WITH kept AS MATERIALIZED (
    SELECT aggregate_version, schema, created_at, state, last_event_id
    FROM "{schema}"."{events}_snapshots"
    WHERE aggregate_type = $1
        AND aggregate_id = $2
        AND aggregate_version <= $3
        AND last_event_id IS NOT NULL
    ORDER BY aggregate_version DESC
    LIMIT 1
)
SELECT
    NULL::bigint AS position,
    last_event_id AS event_id,
    aggregate_version::int AS aggregate_version,
    schema AS event_type,
    created_at,
    NULL::jsonb AS metadata,
    state AS event_data,
    NULL::bigint AS stream_version,
    TRUE AS is_snapshot
FROM kept
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
        AND aggregate_version >= coalesce((SELECT aggregate_version FROM kept), 1)
        AND aggregate_version <= $3
    ORDER BY aggregate_version
    LIMIT $4
) e ON TRUE
