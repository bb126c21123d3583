-- ?1 generation, ?2 position, ?3 key
DELETE FROM projection_parked
WHERE generation = ?1
    AND position = ?2
    AND key = ?3
    AND state <> 'discarded'
