-- ?1 generation, ?2 how many at most
DELETE FROM {models}
WHERE generation = ?1
    AND ({key}) IN (
        SELECT {key}
        FROM {models}
        WHERE generation = ?1
        ORDER BY {key}
        LIMIT ?2
    )
