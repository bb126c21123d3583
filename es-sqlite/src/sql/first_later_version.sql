-- ?1 aggregate type, ?2 aggregate id, ?3 created at
SELECT aggregate_version
FROM execution_events
WHERE aggregate_type = ?1
    AND aggregate_id = ?2
    AND created_at > ?3
ORDER BY aggregate_version
LIMIT 1
