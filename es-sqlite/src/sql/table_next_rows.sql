-- ?1 the generation before; the next one in this table, and whether it is a model's
SELECT
    t.generation,
    EXISTS (
        SELECT 1
        FROM projection_models m
        WHERE m.generation = t.generation
    )
FROM {models} t
WHERE t.generation > ?1
ORDER BY t.generation
LIMIT 1
