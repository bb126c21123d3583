INSERT INTO events (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at)
SELECT event_id, 'posting', $2, version, 'script_execution_completed', event_data, metadata, now()
FROM unnest($1, $3, $4, $5) e (event_id, version, event_data, metadata)
