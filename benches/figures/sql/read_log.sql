SELECT position, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at
FROM execution_events
ORDER BY position
