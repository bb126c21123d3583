-- $1 generation, $2 epoch, $3 slot, $4 trouble, NULL if there is none any more; no row if the lease was lost
UPDATE "{schema}"."{events}_projection_slices" s
SET trouble = $4,
    trouble_at = CASE WHEN $4::text IS NOT NULL THEN "{schema}"."{events}_projection_now"() END
WHERE s.generation = (
        SELECT m.generation
        FROM "{schema}"."{events}_projection_models" m
        WHERE m.generation = $1
            AND m.epoch = $2
            AND m.slot = $3
        FOR NO KEY UPDATE
    )
RETURNING s.slice
