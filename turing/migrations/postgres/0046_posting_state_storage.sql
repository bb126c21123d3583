-- An append writes the row of its posting anew: half of each page is left for that, and long columns are
-- compressed by what costs least, where this server has it. Rows and values that are there stay as they
-- are until they are written again.
ALTER TABLE "{schema}".posting_state_projection SET (fillfactor = 50);

DO $$
BEGIN
    ALTER TABLE "{schema}".posting_state_projection
        ALTER COLUMN execution_sequence SET COMPRESSION lz4,
        ALTER COLUMN outputs SET COMPRESSION lz4,
        ALTER COLUMN ended_runs SET COMPRESSION lz4,
        ALTER COLUMN run SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    -- a server that was built without it compresses as before
    NULL;
END;
$$;
