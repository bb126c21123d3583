-- Keeps the state of a posting if, since the newest kept state, its events have passed a multiple of
-- the interval; answers whether it did. An interval of 0 or less keeps none.
CREATE OR REPLACE FUNCTION "{schema}".maybe_create_snapshot(posting_id INT, snapshot_interval INT DEFAULT 10)
RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF snapshot_interval IS NULL OR snapshot_interval <= 0 THEN
        RETURN FALSE;
    END IF;
    INSERT INTO "{schema}".posting_state_snapshots AS s (posting_id, event_sequence, state, schema, last_event_id)
    SELECT p.posting_id, p.aggregate_version, "{schema}".posting_state_json(p), "{schema}".posting_state_schema(), e.event_id
    FROM "{schema}".posting_state_projection p
    JOIN "{schema}"."{events}" e
        ON e.aggregate_type = 'posting' AND e.aggregate_id = p.posting_id AND e.aggregate_version = p.aggregate_version
    WHERE p.posting_id = maybe_create_snapshot.posting_id
        AND p.aggregate_version / snapshot_interval > coalesce(
            (
                SELECT max(k.event_sequence)
                FROM "{schema}".posting_state_snapshots k
                -- one of another history keeps none away
                JOIN "{schema}"."{events}" l
                    ON l.aggregate_type = 'posting' AND l.aggregate_id = k.posting_id AND l.aggregate_version = k.event_sequence AND l.event_id = k.last_event_id
                WHERE k.posting_id = maybe_create_snapshot.posting_id
                    AND k.schema = "{schema}".posting_state_schema()
                    AND k.event_sequence <= p.aggregate_version
            ),
            0
        ) / snapshot_interval
    -- one of another schema or another history is of no use
    ON CONFLICT (posting_id, event_sequence) DO UPDATE
    SET state = excluded.state, schema = excluded.schema, created_at = excluded.created_at, last_event_id = excluded.last_event_id
    WHERE (s.schema, s.last_event_id) IS DISTINCT FROM (excluded.schema, excluded.last_event_id);
    RETURN FOUND;
END;
$$;
