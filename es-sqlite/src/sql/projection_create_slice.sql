-- ?1 generation, ?2 slice
INSERT INTO projection_slices (generation, slice)
VALUES (?1, ?2)
