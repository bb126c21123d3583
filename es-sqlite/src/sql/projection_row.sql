-- ?1 generation, ?2 key
SELECT key, value
FROM projection_rows
WHERE generation = ?1
    AND key = ?2
