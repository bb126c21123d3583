-- $1 projection, $2 the holder of all models that are kept within appends; answers whether there is
-- an active model
--
-- The epoch is another one, so that an append which is under way is not committed beside this.
WITH released AS (
    UPDATE "{schema}"."{events}_projection_models" m
    SET holder = NULL,
        expires_at = NULL,
        epoch = m.epoch + 1
    WHERE m.projection = $1
        AND m.slot = 'active'
        AND m.holder = $2
)
SELECT EXISTS (
    SELECT
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.projection = $1
        AND m.slot = 'active'
)
