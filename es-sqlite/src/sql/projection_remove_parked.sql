-- ?1 generation, ?2 how many at most
DELETE FROM projection_parked
WHERE generation = ?1
    AND (key, position) IN (
        SELECT p.key, p.position
        FROM projection_parked p
        WHERE p.generation = ?1
        ORDER BY p.key, p.position
        LIMIT ?2
    )
