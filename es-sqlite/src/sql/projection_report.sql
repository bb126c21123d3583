-- ?1 generation, ?2 trouble and ?3 at, NULL if there is none any more
UPDATE projection_models
SET trouble = ?2,
    trouble_at = ?3
WHERE generation = ?1
