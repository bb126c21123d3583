-- ?1 generation, ?2 trouble, ?3 at
UPDATE projection_models
SET trouble = ?2,
    trouble_at = ?3
WHERE generation = ?1
