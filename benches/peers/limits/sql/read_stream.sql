SELECT event_data, metadata
FROM events
WHERE aggregate_type = 'posting' AND aggregate_id = $1
ORDER BY aggregate_version
