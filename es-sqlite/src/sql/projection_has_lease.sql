-- ?1 projection, ?2 slot, ?3 generation, ?4 epoch
SELECT EXISTS (
    SELECT 1
    FROM projection_models
    WHERE projection = ?1
        AND slot = ?2
        AND generation = ?3
        AND epoch = ?4
)
