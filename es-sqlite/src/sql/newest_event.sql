SELECT position, event_id
FROM execution_events
ORDER BY position DESC
LIMIT 1
