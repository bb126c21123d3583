-- ?1 generation, ?2 the key before, empty for none, ?3 limit
SELECT key, value
FROM projection_rows
WHERE generation = ?1
    AND key > ?2
ORDER BY key
LIMIT ?3
