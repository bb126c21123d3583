-- ?1 generation, ?2 position, ?3 key, ?4 reason, ?5 at
UPDATE projection_parked
SET state = 'discarded',
    discard_reason = ?4,
    discarded_at = ?5
WHERE generation = ?1
    AND position = ?2
    AND key = ?3
    AND state <> 'discarded'
