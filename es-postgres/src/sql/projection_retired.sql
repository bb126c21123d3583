-- a retired model of which there is something left
SELECT m.generation
FROM "{schema}"."{events}_projection_models" m
WHERE m.slot LIKE 'retired %'
ORDER BY m.generation
LIMIT 1
