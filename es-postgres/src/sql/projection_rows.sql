-- $1 projection, $2 slot, $3 the key before, empty for none, $4 limit; no row if there is no model
SELECT r.key, r.value
FROM "{schema}"."{events}_projection_models" m
LEFT JOIN LATERAL (
    SELECT n.key, n.value
    FROM "{schema}"."{events}_projection_rows" n
    WHERE n.generation = m.generation
        AND n.key > $3
    ORDER BY n.key
    LIMIT $4
) r ON TRUE
WHERE m.projection = $1
    AND m.slot = $2
ORDER BY r.key
