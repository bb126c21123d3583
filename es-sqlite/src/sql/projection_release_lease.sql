-- ?1 generation
UPDATE projection_models
SET holder = NULL,
    expires_at = NULL
WHERE generation = ?1
