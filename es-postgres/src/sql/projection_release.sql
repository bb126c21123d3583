-- $1 generation, $2 epoch, $3 slot
UPDATE "{schema}"."{events}_projection_models" m
SET holder = NULL,
    expires_at = NULL
WHERE m.generation = $1
    AND m.epoch = $2
    AND m.slot = $3
