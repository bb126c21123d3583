SELECT coalesce(max(position), 0)
FROM execution_events
