-- ?1 aggregate type, ?2 aggregate id
--
-- what somebody wrote that is no number of an event counts for nothing
SELECT aggregate_version
FROM execution_events
WHERE aggregate_type = ?1
    AND aggregate_id = ?2
    AND typeof(aggregate_version) = 'integer'
ORDER BY aggregate_version DESC
LIMIT 1
