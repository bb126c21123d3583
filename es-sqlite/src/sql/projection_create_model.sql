-- ?1 projection, ?2 slot, ?3 fingerprint
INSERT INTO projection_models (projection, slot, fingerprint)
VALUES (?1, ?2, ?3)
RETURNING generation
