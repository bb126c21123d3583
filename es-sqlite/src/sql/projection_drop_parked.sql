-- ?1 generation
DELETE FROM projection_parked
WHERE generation = ?1
