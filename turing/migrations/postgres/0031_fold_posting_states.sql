-- Folds postings that have events anew: locks their rows, or makes them, in the order of the ids.
--
-- As before, with the types of all arguments: an untyped one lets a function of the same name be meant that
-- somebody else has made in this schema.
CREATE OR REPLACE FUNCTION "{schema}".fold_posting_states(posting_ids INT[]) RETURNS void
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
    FROM "{schema}".posting_states(posting_ids, NULL::int[], TRUE) s
    WHERE p.posting_id = s.posting_id;
END;
$$;
