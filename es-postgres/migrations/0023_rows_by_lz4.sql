-- Rows of models are written over and over. Compressing one beyond 2 kB by pglz takes longer than all else
-- about it, by lz4 a third of that; keeping it as it is costs no less, because tables and the server's log
-- grow. Rows that are there stay as they are until they are written again.
DO $$
BEGIN
    ALTER TABLE "{schema}"."{events}_projection_rows"
        ALTER COLUMN value SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    -- a server that was built without it compresses as before
    NULL;
END;
$$;
