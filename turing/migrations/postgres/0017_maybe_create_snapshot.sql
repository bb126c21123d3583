-- Keeps the state of a posting if, since the newest kept state, its events have passed a multiple of
-- the interval; answers whether it did. An interval of 0 or less keeps none.
CREATE FUNCTION "{schema}".maybe_create_snapshot(posting_id INT, snapshot_interval INT DEFAULT 10)
RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF snapshot_interval IS NULL OR snapshot_interval <= 0 THEN
        RETURN FALSE;
    END IF;
    INSERT INTO "{schema}".posting_state_snapshots AS s (posting_id, event_sequence, state, schema)
    SELECT p.posting_id, p.aggregate_version, "{schema}".posting_state_json(p), "{schema}".posting_state_schema()
    FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = maybe_create_snapshot.posting_id
        AND p.aggregate_version / snapshot_interval > coalesce(
            (
                SELECT max(k.event_sequence)
                FROM "{schema}".posting_state_snapshots k
                WHERE k.posting_id = maybe_create_snapshot.posting_id
                    AND k.schema = "{schema}".posting_state_schema()
                    AND k.event_sequence <= p.aggregate_version
            ),
            0
        ) / snapshot_interval
    -- one of another schema is of no use
    ON CONFLICT (posting_id, event_sequence) DO UPDATE
    SET state = excluded.state, schema = excluded.schema, created_at = excluded.created_at
    WHERE s.schema IS DISTINCT FROM excluded.schema;
    RETURN FOUND;
END;
$$;

COMMENT ON FUNCTION "{schema}".maybe_create_snapshot(INT, INT) IS 'keeps the state of a posting if its events have passed a multiple of the interval';
