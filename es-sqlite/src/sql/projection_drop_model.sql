-- ?1 generation
DELETE FROM projection_models
WHERE generation = ?1
