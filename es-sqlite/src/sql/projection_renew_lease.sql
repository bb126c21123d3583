-- ?1 generation, ?2 expires at, ?3 rate
UPDATE projection_models
SET expires_at = ?2,
    rate = ?3
WHERE generation = ?1
    AND holder IS NOT NULL
