-- $1 the generation before; the next one in this table, and whether a model has it
SELECT
    t.generation,
    EXISTS (
        SELECT
        FROM "{schema}"."{events}_projection_models" m
        WHERE m.generation = t.generation
            AND m.slot IN ('active', 'shadow')
    )
FROM "{schema}".{models} t
WHERE t.generation > $1
ORDER BY t.generation
LIMIT 1
