-- ?1 generation, ?2 waiting only, ?3 position before, ?4 key before, ?5 limit
SELECT
    position,
    key,
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    reason,
    attempts,
    parked_at,
    state,
    discard_reason,
    discarded_at
FROM projection_parked
WHERE generation = ?1
    AND (position, key) > (?3, ?4)
    AND NOT (?2 AND state = 'discarded')
ORDER BY position, key
LIMIT ?5
