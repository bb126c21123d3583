-- $1 aggregate type, $2 aggregate id: the columns that a load takes
SELECT position, event_id, aggregate_version, event_type, created_at, metadata, event_data
FROM execution_events
WHERE aggregate_type = $1 AND aggregate_id = $2
ORDER BY aggregate_version
