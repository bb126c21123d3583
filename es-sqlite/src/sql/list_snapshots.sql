-- only those after ?1 aggregate type, ?2 aggregate id, ?3 version; ?4 how many
SELECT
    aggregate_type,
    aggregate_id,
    aggregate_version,
    schema,
    created_at,
    octet_length(state),
    last_event_id
FROM snapshots
WHERE (aggregate_id, aggregate_type, aggregate_version) > (?2, ?1, ?3)
ORDER BY aggregate_id, aggregate_type, aggregate_version
LIMIT ?4
