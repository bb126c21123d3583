-- $1 projection, $2 slot, $3 key; no row if there is no model
WITH model AS (
    SELECT m.generation
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.projection = $1
        AND m.slot = $2
),
changed AS (
    UPDATE "{schema}"."{events}_projection_parked" p
    SET state = 'due'
    FROM model
    WHERE p.generation = model.generation
        AND p.key = $3
        AND p.state <> 'discarded'
        AND p.position = (
            SELECT min(n.position)
            FROM "{schema}"."{events}_projection_parked" n
            WHERE n.generation = model.generation
                AND n.key = $3
                AND n.state <> 'discarded'
        )
    RETURNING p.position
)
SELECT EXISTS (SELECT FROM changed)
FROM model
