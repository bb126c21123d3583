-- ?1 generation, ?2 expires at
UPDATE projection_models
SET expires_at = ?2
WHERE generation = ?1
    AND holder IS NOT NULL
