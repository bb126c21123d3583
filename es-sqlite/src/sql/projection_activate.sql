-- ?1 generation
UPDATE projection_models
SET slot = 'active',
    holder = NULL,
    expires_at = NULL,
    rate = NULL
WHERE generation = ?1
