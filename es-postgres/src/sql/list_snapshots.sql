-- only those after $1 aggregate type, $2 aggregate id, $3 version; $4 how many
SELECT
    aggregate_type,
    aggregate_id::text,
    aggregate_version,
    schema,
    created_at,
    pg_column_size(state)::bigint,
    last_event_id
FROM "{schema}"."{events}_snapshots"
WHERE (aggregate_type, aggregate_id, aggregate_version) > ($1, $2, $3)
ORDER BY
    "{events}_snapshots".aggregate_type,
    "{events}_snapshots".aggregate_id,
    "{events}_snapshots".aggregate_version
LIMIT $4
