-- $1 generation, $2 epoch
SELECT
    s.position,
    s.event_position,
    s.event_id,
    s.aggregate_type,
    s.aggregate_id,
    s.aggregate_version
FROM "{schema}"."{events}_projection_models" m
JOIN "{schema}"."{events}_projection_slices" s ON s.generation = m.generation
WHERE m.generation = $1
    AND m.epoch = $2
ORDER BY s.slice
