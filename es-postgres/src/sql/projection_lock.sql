-- $1 generation, $2 epoch, $3 slot, $4 slice, $5 position; no row if the lease was lost
SELECT pg_current_xact_id()::text
FROM "{schema}"."{events}_projection_models" m
JOIN "{schema}"."{events}_projection_slices" s ON s.generation = m.generation
WHERE m.generation = $1
    AND m.epoch = $2
    AND m.slot = $3
    AND s.slice = $4
    AND s.position = $5
FOR SHARE OF m
FOR NO KEY UPDATE OF s
