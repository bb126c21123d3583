-- $1 projection, $2 slot, $3 limit, from $4 on a key; no row if there is no model
SELECT r.*
FROM "{schema}"."{events}_projection_models" m
LEFT JOIN LATERAL (
    SELECT t.generation, {columns}
    FROM "{schema}".{models} t
    WHERE t.generation = m.generation
        AND {filter}
    ORDER BY {key}
    LIMIT $3
) r ON TRUE
WHERE m.projection = $1
    AND m.slot = $2
ORDER BY {key}
