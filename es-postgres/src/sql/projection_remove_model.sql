-- $1 generation of a retired model, of which rows and parked entries are gone; answers whether it was
-- there, and not in somebody else's hands
WITH model AS (
    SELECT m.generation
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.generation = $1
        AND m.slot LIKE 'retired %'
        AND NOT EXISTS (
            SELECT FROM "{schema}"."{events}_projection_rows" r WHERE r.generation = m.generation
        )
    FOR UPDATE SKIP LOCKED
),
slices AS (
    DELETE FROM "{schema}"."{events}_projection_slices" s
    USING model
    WHERE s.generation = model.generation
),
removed AS (
    DELETE FROM "{schema}"."{events}_projection_models" m
    USING model
    WHERE m.generation = model.generation
    RETURNING m.generation
)
SELECT count(*)
FROM removed
