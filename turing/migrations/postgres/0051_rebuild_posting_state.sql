-- Folds a posting anew from its first event. Its row is locked before its events are looked up, so
-- that none is missed that is being inserted; a posting without events has no row afterwards.
CREATE OR REPLACE FUNCTION "{schema}".rebuild_posting_state(posting_id INT) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
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
    PERFORM FROM "{schema}".posting_state_rows p
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
        -- where session_replication_role is replica nothing else would
        DELETE FROM "{schema}".posting_state_completions c
        WHERE c.posting_id = rebuild_posting_state.posting_id;
        DELETE FROM "{schema}".posting_state_values v
        WHERE v.posting_id = rebuild_posting_state.posting_id;
        DELETE FROM "{schema}".posting_state_rows p
        WHERE p.posting_id = rebuild_posting_state.posting_id;
    END IF;
END;
$$;
