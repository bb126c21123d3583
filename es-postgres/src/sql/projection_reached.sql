-- how far each active model has come
SELECT m.projection, min(s.position)
FROM "{schema}"."{events}_projection_models" m
JOIN "{schema}"."{events}_projection_slices" s ON s.generation = m.generation
WHERE m.slot = 'active'
GROUP BY m.projection
