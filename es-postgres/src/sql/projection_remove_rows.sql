-- $1 generation of a retired model, $2 the key before, $3 limit
--
-- Answers the last key and how many rows were removed; zero, too, if somebody else is at it. They are
-- removed by their places: joined by their keys, they would be compared each with each where the table
-- was thought to be empty.
WITH model AS (
    SELECT m.generation
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.generation = $1
        AND m.slot LIKE 'retired %'
    FOR UPDATE SKIP LOCKED
),
part AS (
    SELECT r.place
    FROM model
    CROSS JOIN LATERAL (
        SELECT n.ctid AS place
        FROM "{schema}"."{events}_projection_rows" n
        WHERE n.generation = model.generation
            AND n.key > $2
        ORDER BY n.key
        LIMIT $3
    ) r
),
removed AS (
    DELETE FROM "{schema}"."{events}_projection_rows" r
    WHERE r.ctid = ANY (ARRAY(SELECT part.place FROM part))
    RETURNING r.key
)
SELECT coalesce(max(removed.key), ''), count(*)
FROM removed
