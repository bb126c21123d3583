-- What the row of a posting need not have in it for an append: an append copies the row, so what has been
-- folded long since moves out of it. posting_state_projection puts it together.
ALTER TABLE "{schema}".posting_state_rows
    ADD COLUMN moved_completions INT NOT NULL DEFAULT 0,
    ADD COLUMN moved_bytes BIGINT NOT NULL DEFAULT 0;

COMMENT ON COLUMN "{schema}".posting_state_rows.moved_completions IS 'how many at the beginning of execution_sequence are in posting_state_completions';
COMMENT ON COLUMN "{schema}".posting_state_rows.moved_bytes IS 'how large what is in posting_state_values can be at most, not compressed';

CREATE TABLE "{schema}".posting_state_completions (
    posting_id INT NOT NULL,
    first INT NOT NULL,
    conversation_ids INT[] NOT NULL,

    PRIMARY KEY (posting_id, first),
    FOREIGN KEY (posting_id) REFERENCES "{schema}".posting_state_rows (posting_id) ON DELETE CASCADE
);

COMMENT ON TABLE "{schema}".posting_state_completions IS 'the beginning of execution_sequence, in parts; read posting_state_projection';
COMMENT ON COLUMN "{schema}".posting_state_completions.first IS 'which of the whole sequence the first of this part is';

CREATE TABLE "{schema}".posting_state_values (
    posting_id INT NOT NULL,
    part TEXT NOT NULL,
    key TEXT NOT NULL,
    value JSONB NOT NULL,

    PRIMARY KEY (posting_id, part, key),
    FOREIGN KEY (posting_id) REFERENCES "{schema}".posting_state_rows (posting_id) ON DELETE CASCADE
);

COMMENT ON TABLE "{schema}".posting_state_values IS 'keys of outputs and ended_runs; what the row itself has of a key is newer; read posting_state_projection';
COMMENT ON COLUMN "{schema}".posting_state_values.part IS 'outputs or ended_runs';

DO $$
DECLARE
    made TEXT;
    owner TEXT;
BEGIN
    BEGIN
        ALTER TABLE "{schema}".posting_state_completions ALTER COLUMN conversation_ids SET COMPRESSION lz4;
        ALTER TABLE "{schema}".posting_state_values ALTER COLUMN value SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
        -- a server that was built without it compresses as before
        NULL;
    END;
    -- the trigger writes them with the rights of who owns the states
    SELECT r.rolname INTO owner
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.oid = '"{schema}".posting_state_rows'::regclass
        AND r.rolname <> current_user;
    IF FOUND THEN
        FOREACH made IN ARRAY ARRAY['posting_state_completions', 'posting_state_values'] LOOP
            EXECUTE pg_catalog.format('ALTER TABLE "{schema}".%I OWNER TO %I', made, owner);
        END LOOP;
    END IF;
END;
$$;
