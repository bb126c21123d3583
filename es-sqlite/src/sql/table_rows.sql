-- ?1 generation, ?2 limit, from ?3 on a key
SELECT {columns}
FROM {models}
WHERE generation = ?1
    AND {filter}
ORDER BY {key}
LIMIT ?2
