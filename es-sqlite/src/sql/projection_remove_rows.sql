-- ?1 generation, ?2 how many at most
DELETE FROM projection_rows
WHERE generation = ?1
    AND key IN (
        SELECT r.key
        FROM projection_rows r
        WHERE r.generation = ?1
        ORDER BY r.key
        LIMIT ?2
    )
