-- $1 generation of a retired model, $2 limit
--
-- Answers how many entries were removed; zero, too, if somebody else is at it.
WITH model AS (
    SELECT m.generation
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.generation = $1
        AND m.slot LIKE 'retired %'
    FOR UPDATE SKIP LOCKED
),
part AS (
    SELECT p.generation, p.key, p.position
    FROM model
    CROSS JOIN LATERAL (
        SELECT n.generation, n.key, n.position
        FROM "{schema}"."{events}_projection_parked" n
        WHERE n.generation = model.generation
        LIMIT $2
    ) p
),
removed AS (
    DELETE FROM "{schema}"."{events}_projection_parked" p
    USING part
    WHERE p.generation = part.generation
        AND p.key = part.key
        AND p.position = part.position
    RETURNING p.position
)
SELECT count(*)
FROM removed
