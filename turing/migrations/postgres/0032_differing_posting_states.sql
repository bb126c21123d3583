-- Which of these postings, all of which have events, are not in posting_state_projection as their
-- events say: the version that is kept there (null: there is no row), the one that can be folded (null:
-- none, the state is too large for the database), and the columns that differ.
--
-- As before, with the types of all arguments: an untyped one lets a function of the same name be meant that
-- somebody else has made in this schema.
CREATE OR REPLACE FUNCTION "{schema}".differing_posting_states(posting_ids INT[])
RETURNS TABLE (posting_id INT, kept_version INT, foldable_version INT, columns TEXT[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    kept INT[];
BEGIN
    SELECT array_agg(p.posting_id) INTO kept
    FROM unnest(posting_ids) i (posting_id)
    JOIN "{schema}".posting_state_projection p ON p.posting_id = i.posting_id;

    RETURN QUERY
    SELECT i.posting_id, NULL::int, NULL::int, NULL::text[]
    FROM unnest(posting_ids) i (posting_id)
    WHERE NOT EXISTS (
        SELECT
        FROM "{schema}".posting_state_projection p
        WHERE p.posting_id = i.posting_id
    );

    BEGIN
        RETURN QUERY
        SELECT d.posting_id, d.kept_version, d.foldable_version, d.columns
        FROM (
            SELECT
                s.posting_id,
                p.aggregate_version AS kept_version,
                s.aggregate_version AS foldable_version,
                array_remove(ARRAY[
                    CASE WHEN p.current_conversation_id IS DISTINCT FROM s.current_conversation_id THEN 'current_conversation_id' END,
                    CASE WHEN p.execution_sequence IS DISTINCT FROM coalesce(s.execution_sequence, '{}') THEN 'execution_sequence' END,
                    CASE WHEN p.outputs IS DISTINCT FROM coalesce(s.outputs, '{}') THEN 'outputs' END,
                    CASE WHEN p.is_terminal IS DISTINCT FROM s.is_terminal THEN 'is_terminal' END,
                    CASE WHEN p.last_updated IS DISTINCT FROM s.last_updated THEN 'last_updated' END,
                    CASE WHEN p.aggregate_version IS DISTINCT FROM s.aggregate_version THEN 'aggregate_version' END,
                    CASE WHEN p.terminal IS DISTINCT FROM s.terminal THEN 'terminal' END,
                    CASE WHEN p.ended_runs IS DISTINCT FROM s.ended_runs THEN 'ended_runs' END,
                    CASE WHEN p.run IS DISTINCT FROM s.run THEN 'run' END
                ], NULL) AS columns
            FROM "{schema}".posting_states(kept, NULL::int[], TRUE) s
            JOIN "{schema}".posting_state_projection p ON p.posting_id = s.posting_id
        ) d
        WHERE d.columns <> '{}';
    EXCEPTION
        WHEN program_limit_exceeded OR statement_too_complex THEN
            IF cardinality(kept) = 1 THEN
                RETURN QUERY
                SELECT p.posting_id, p.aggregate_version, NULL::int, NULL::text[]
                FROM "{schema}".posting_state_projection p
                WHERE p.posting_id = kept[1];
            ELSE
                RETURN QUERY
                SELECT d.*
                FROM unnest(kept) k (posting_id)
                CROSS JOIN LATERAL "{schema}".differing_posting_states(ARRAY[k.posting_id]) d;
            END IF;
    END;
END;
$$;
