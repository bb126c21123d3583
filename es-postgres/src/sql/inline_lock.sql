-- $1 the holder of all models that are kept within appends
--
-- All appends that keep any of them take all of them, in one order: they are written one after the
-- other, and none waits for another that waits for it.
SELECT m.projection
FROM "{schema}"."{events}_projection_models" m
WHERE m.holder = $1
    AND m.slot = 'active'
ORDER BY m.projection
FOR UPDATE
