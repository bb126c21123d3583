-- ?1 generation
UPDATE projection_models
SET slot = 'active',
    holder = NULL,
    expires_at = NULL
WHERE generation = ?1
