-- ?1 generation, ?2 limit; each key is looked at once, however much waits under it
WITH RECURSIVE keys (key) AS (
    SELECT MIN(p.key)
    FROM projection_parked p INDEXED BY projection_parked_due
    WHERE p.generation = ?1
        AND p.state = 'due'
    UNION ALL
    SELECT (
        SELECT MIN(p.key)
        FROM projection_parked p INDEXED BY projection_parked_due
        WHERE p.generation = ?1
            AND p.state = 'due'
            AND p.key > k.key
    )
    FROM keys k
    WHERE k.key IS NOT NULL
)
SELECT k.key
FROM keys k
WHERE 'due' = (
    SELECT p.state
    FROM projection_parked p
    WHERE p.generation = ?1
        AND p.key = k.key
        AND p.state <> 'discarded'
    ORDER BY p.position
    LIMIT 1
)
LIMIT ?2
