-- $1 projection, $2 slot, $3 position, $4 key, $5 reason; no row if there is no model
WITH model AS (
    SELECT m.generation
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.projection = $1
        AND m.slot = $2
),
changed AS (
    UPDATE "{schema}"."{events}_projection_parked" p
    SET state = 'discarded',
        discard_reason = $5,
        discarded_at = "{schema}"."{events}_projection_now"()
    FROM model
    WHERE p.generation = model.generation
        AND p.position = $3
        AND p.key = $4
        AND p.state <> 'discarded'
    RETURNING p.position
)
SELECT EXISTS (SELECT FROM changed)
FROM model
