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
    SELECT p.place
    FROM model
    CROSS JOIN LATERAL (
        SELECT n.ctid AS place
        FROM "{schema}"."{events}_projection_parked" n
        WHERE n.generation = model.generation
        LIMIT $2
    ) p
),
removed AS (
    DELETE FROM "{schema}"."{events}_projection_parked" p
    WHERE p.ctid = ANY (ARRAY(SELECT part.place FROM part))
    RETURNING p.position
)
SELECT count(*)
FROM removed
