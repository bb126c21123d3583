-- ?1 generation
SELECT p.key
FROM projection_parked p INDEXED BY projection_parked_due
WHERE p.generation = ?1
    AND p.state = 'due'
    AND NOT EXISTS (
        SELECT 1
        FROM projection_parked e
        WHERE e.generation = p.generation
            AND e.key = p.key
            AND e.position < p.position
            AND e.state <> 'discarded'
    )
