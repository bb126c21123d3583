-- ?1 generation
DELETE FROM projection_rows
WHERE generation = ?1
