-- ?1 aggregate type, ?2 aggregate id
SELECT coalesce(max(aggregate_version), 0)
FROM execution_events
WHERE aggregate_type = ?1
    AND aggregate_id = ?2
