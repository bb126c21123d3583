-- $1 projection, $2 slot, $3 keys; no row if there is no model
--
-- Each key is looked up by itself (OFFSET 0): as a condition on all rows of the model, which it becomes
-- where the table was thought to be empty, each row is compared with each key.
SELECT r.key, r.value
FROM "{schema}"."{events}_projection_models" m
LEFT JOIN LATERAL (
    SELECT n.key, n.value
    FROM unnest($3::text[]) k (key)
    CROSS JOIN LATERAL (
        SELECT o.key, o.value
        FROM "{schema}"."{events}_projection_rows" o
        WHERE o.generation = m.generation
            AND o.key = k.key
        OFFSET 0
    ) n
) r ON TRUE
WHERE m.projection = $1
    AND m.slot = $2
