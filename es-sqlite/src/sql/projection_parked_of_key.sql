-- ?1 generation, ?2 waiting only, ?3 position before, ?4 limit, ?5 key
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
    AND key = ?5
    AND position > ?3
    AND NOT (?2 AND state = 'discarded')
ORDER BY position
LIMIT ?4
