-- Folds postings that have events anew: locks their rows, or makes them, in the order of the ids.
CREATE FUNCTION "{schema}".fold_posting_states(posting_ids INT[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
BEGIN
    INSERT INTO "{schema}".posting_state_projection AS p (posting_id)
    SELECT DISTINCT i.posting_id
    FROM unnest(posting_ids) i (posting_id)
    ORDER BY i.posting_id
    ON CONFLICT (posting_id) DO UPDATE SET aggregate_version = p.aggregate_version WHERE FALSE;

    UPDATE "{schema}".posting_state_projection p
    SET current_conversation_id = s.current_conversation_id,
        execution_sequence = coalesce(s.execution_sequence, '{}'),
        outputs = coalesce(s.outputs, '{}'),
        is_terminal = s.is_terminal,
        last_updated = s.last_updated,
        aggregate_version = s.aggregate_version,
        terminal = s.terminal,
        ended_runs = s.ended_runs,
        run = s.run
    FROM "{schema}".posting_states(posting_ids, NULL, TRUE) s
    WHERE p.posting_id = s.posting_id;
END;
$$;

-- Folds a posting anew from its first event. Its row is locked before its events are looked up, so
-- that none is missed that is being inserted; a posting without events has no row afterwards.
CREATE FUNCTION "{schema}".rebuild_posting_state(posting_id INT) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    had_row BOOLEAN;
BEGIN
    PERFORM FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = rebuild_posting_state.posting_id
    FOR UPDATE;
    had_row := FOUND;
    IF EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'posting'
            AND e.aggregate_id = rebuild_posting_state.posting_id
    ) THEN
        PERFORM "{schema}".fold_posting_states(ARRAY[rebuild_posting_state.posting_id]);
    ELSIF had_row THEN
        DELETE FROM "{schema}".posting_state_projection p
        WHERE p.posting_id = rebuild_posting_state.posting_id;
    END IF;
END;
$$;

COMMENT ON FUNCTION "{schema}".rebuild_posting_state(INT) IS 'folds the posting''s row of posting_state_projection anew from its events';
