-- ?1 projection, ?2 position
SELECT EXISTS (
    SELECT 1
    FROM projection_models m
    JOIN projection_slices s ON s.generation = m.generation
    WHERE m.projection = ?1
        AND m.slot = 'active'
        AND s.position >= ?2
)
