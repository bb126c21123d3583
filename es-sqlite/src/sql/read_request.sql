-- ?1 first position, ?2 last position
SELECT
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    position,
    event_type,
    created_at,
    metadata,
    event_data
FROM execution_events
WHERE position BETWEEN ?1 AND ?2
ORDER BY position
