-- $1 projection, $2 slot, $3 keys; no row if there is no model
SELECT r.key, r.value
FROM "{schema}"."{events}_projection_models" m
LEFT JOIN "{schema}"."{events}_projection_rows" r
    ON r.generation = m.generation
    AND r.key = ANY ($3)
WHERE m.projection = $1
    AND m.slot = $2
