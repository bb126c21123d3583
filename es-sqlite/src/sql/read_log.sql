-- ?1 position before the first, ?2 how many events to look at
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
WHERE position > ?1
ORDER BY position
LIMIT ?2
