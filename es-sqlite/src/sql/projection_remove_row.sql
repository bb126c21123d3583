-- ?1 generation, ?2 key
DELETE FROM projection_rows
WHERE generation = ?1
    AND key = ?2
