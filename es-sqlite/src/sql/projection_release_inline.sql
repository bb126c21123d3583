-- ?1 generation, ?2 who holds the models that are kept within appends
UPDATE projection_models
SET holder = NULL,
    expires_at = NULL,
    rate = NULL,
    epoch = epoch + 1
WHERE generation = ?1
    AND holder = ?2
