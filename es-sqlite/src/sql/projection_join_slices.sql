-- ?1 generation
DELETE FROM projection_slices
WHERE generation = ?1
    AND slice > 0
