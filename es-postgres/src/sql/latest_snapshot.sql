-- $1 aggregate type, $2 aggregate id, $3 highest version
SELECT aggregate_version, schema, created_at, state, last_event_id
FROM "{schema}"."{events}_snapshots"
WHERE aggregate_type = $1
    AND aggregate_id = $2
    AND aggregate_version <= $3
    AND last_event_id IS NOT NULL
ORDER BY aggregate_version DESC
LIMIT 1
