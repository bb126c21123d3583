-- ?1 aggregate type, ?2 aggregate id
DELETE FROM snapshots
WHERE aggregate_type = ?1
    AND aggregate_id = ?2
