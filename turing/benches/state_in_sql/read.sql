-- $1 first, $2 last posting
SELECT aggregate_id, aggregate_version, event_type, event_data, metadata, created_at
FROM execution_events
WHERE aggregate_type = 'posting'
    AND aggregate_id BETWEEN $1 AND $2
ORDER BY aggregate_id, aggregate_version
