-- $1 generation, $2 key, $3 value
INSERT INTO "{schema}"."{events}_projection_rows" (generation, key, value)
VALUES ($1, $2, $3)
ON CONFLICT (generation, key) DO UPDATE
SET value = excluded.value
