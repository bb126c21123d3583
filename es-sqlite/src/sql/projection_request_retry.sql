-- ?1 generation, ?2 key
UPDATE projection_parked
SET state = 'due'
WHERE generation = ?1
    AND key = ?2
    AND position = (
        SELECT min(position)
        FROM projection_parked
        WHERE generation = ?1
            AND key = ?2
            AND state <> 'discarded'
    )
