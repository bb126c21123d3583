-- $1 generation, $2 key
DELETE FROM "{schema}"."{events}_projection_rows" r
WHERE r.generation = $1
    AND r.key = $2
