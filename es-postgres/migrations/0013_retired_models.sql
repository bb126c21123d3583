-- A model that is served no longer was removed within the statement that replaced it: one of millions
-- of rows took longer than a statement may, and could never be replaced. It is retired now, which
-- takes no longer for a large one, and its rows are removed afterwards, a part at a time.
DO $$
DECLARE
    old RECORD;
BEGIN
    FOR old IN
        SELECT c.conname
        FROM pg_catalog.pg_constraint c
        WHERE c.conrelid = '"{schema}"."{events}_projection_models"'::regclass
            AND c.contype = 'c'
            AND pg_catalog.pg_get_constraintdef(c.oid) LIKE '%shadow%'
    LOOP
        EXECUTE format('ALTER TABLE "{schema}"."{events}_projection_models" DROP CONSTRAINT %I', old.conname);
    END LOOP;
END;
$$;

-- Of retired models there may be several.
ALTER TABLE "{schema}"."{events}_projection_models"
ADD CONSTRAINT slot_is_known
CHECK (slot IN ('active', 'shadow') OR slot = 'retired ' || generation::text);

CREATE OR REPLACE FUNCTION "{schema}"."{events}_projection_remove"(model BIGINT)
RETURNS VOID
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    UPDATE "{schema}"."{events}_projection_models" m
    SET slot = 'retired ' || m.generation::text,
        epoch = m.epoch + 1,
        holder = NULL,
        expires_at = NULL
    WHERE m.generation = model;
END;
$$;
