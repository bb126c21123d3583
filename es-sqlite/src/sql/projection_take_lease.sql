-- ?1 generation, ?2 holder, ?3 expires at
UPDATE projection_models
SET epoch = epoch + 1,
    holder = ?2,
    expires_at = ?3,
    rate = NULL
WHERE generation = ?1
RETURNING epoch
