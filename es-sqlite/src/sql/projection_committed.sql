-- ?1 generation, ?2 events, ?3 at
UPDATE projection_models
SET events = events + ?2,
    committed_at = ?3,
    trouble = NULL,
    trouble_at = NULL
WHERE generation = ?1
