SELECT event_data, metadata
FROM bare.execution_events
WHERE aggregate_type = $1 AND aggregate_id = $2
ORDER BY aggregate_version
