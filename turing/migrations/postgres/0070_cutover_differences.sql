-- What an operator has accepted as it is, and is so still.
CREATE FUNCTION "{schema}".cutover_is_accepted(posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT EXISTS (
            SELECT
            FROM "{schema}".cutover_discrepancies d
            WHERE d.resolution = 'accepted'
                AND (
                    d.posting_id = cutover_is_accepted.posting_id
                    OR d.posting_id IS NULL AND cutover_is_accepted.posting_id IS NULL
                )
                AND d.kind = cutover_is_accepted.kind
                AND d.field IS NOT DISTINCT FROM cutover_is_accepted.field
                AND d.old IS NOT DISTINCT FROM cutover_is_accepted.old
                AND d.new IS NOT DISTINCT FROM cutover_is_accepted.new
        )
    );
END;
$$;

-- Where the old table and the events do not say the same of these postings, or of all where `posting_ids` is
-- null, in one view of the database. Columns that are not mapped are not compared.
--
--   row_unreadable     the old row cannot be read, `new` says why; nothing else is said of it
--   posting_missing    an old row of a posting that is not registered
--   event_missing      an old row, and no event of its posting
--   old_row_missing    events, and no old row
--   current_differs, sequence_differs, outputs_differ, terminal_differs
--                      the state; of outputs those that differ
--   counter_differs    how many conversations have completed
--
-- A posting that has not begun, in both, is as good as none. old and new have 200 characters at most.
CREATE FUNCTION "{schema}".cutover_differences(posting_ids INT[])
RETURNS TABLE (posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- a row that a policy hides is not one that is gone
SET row_security = off
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    names JSONB;
    chunk INT[] := posting_ids;
BEGIN
    SELECT c.mapping INTO names
    FROM "{schema}".cutovers c
    JOIN pg_class t ON t.oid = c.old_table;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    LOOP
        IF posting_ids IS NULL THEN
            chunk := "{schema}".cutover_next_postings(chunk[cardinality(chunk)], 1000);
        END IF;
        EXIT WHEN chunk IS NULL;

        RETURN QUERY
        SELECT s.id, d.kind, d.field, "{schema}".cutover_short(d.old), "{schema}".cutover_short(d.new)
        FROM (
            SELECT
                i.id,
                o.posting_key IS NOT NULL AS has_row,
                p.posting_id IS NOT NULL AS has_events,
                o.problem,
                o.problem_column,
                o.current_conversation_id AS old_current,
                o.execution_sequence AS old_sequence,
                o.outputs AS old_outputs,
                o.is_terminal AS old_terminal,
                o.counter AS old_counter,
                p.current_conversation_id AS new_current,
                coalesce(p.execution_sequence, '{}') AS new_sequence,
                coalesce(p.outputs, '{}') AS new_outputs,
                coalesce(p.is_terminal, FALSE) AS new_terminal,
                -- null where a column is not mapped: that one tells nothing
                coalesce(o.current_conversation_id IS NULL, TRUE)
                AND coalesce(o.execution_sequence = '{}', TRUE)
                AND coalesce(o.outputs = '{}', TRUE)
                AND coalesce(NOT o.is_terminal, TRUE) AS old_has_not_begun,
                p.current_conversation_id IS NULL
                AND coalesce(p.execution_sequence, '{}') = '{}'
                AND coalesce(p.outputs, '{}') = '{}'
                AND NOT coalesce(p.is_terminal, FALSE) AS new_has_not_begun
            FROM unnest(chunk) i (id)
            LEFT JOIN "{schema}".cutover_old_states o ON o.posting_key = i.id
            LEFT JOIN "{schema}".posting_state_projection p ON p.posting_id = i.id
        ) s
        CROSS JOIN LATERAL (
            SELECT
                CASE
                    WHEN NOT s.has_row THEN CASE WHEN NOT s.new_has_not_begun THEN 'old_row_missing' END
                    WHEN s.problem IS NOT NULL THEN 'row_unreadable'
                    WHEN NOT EXISTS (SELECT FROM "{schema}".postings r WHERE r.posting_id = s.id) THEN 'posting_missing'
                    WHEN NOT s.has_events AND NOT s.old_has_not_begun THEN 'event_missing'
                    WHEN s.has_events THEN 'both'
                END AS case
        ) w
        CROSS JOIN LATERAL (
            SELECT 'row_unreadable' AS kind, s.problem_column AS field, NULL::text AS old, s.problem AS new
            WHERE w.case = 'row_unreadable'
            UNION ALL
            SELECT
                w.case, names ->> 'posting_id',
                CASE WHEN w.case <> 'old_row_missing' THEN concat_ws(
                    '; ', 'at ' || s.old_current, 'completed ' || s.old_sequence::text, 'outputs ' || s.old_outputs::text,
                    CASE WHEN s.old_terminal THEN 'terminal' END
                ) END,
                CASE WHEN w.case = 'old_row_missing' THEN concat_ws(
                    '; ', 'at ' || s.new_current, 'completed ' || s.new_sequence::text, 'outputs ' || s.new_outputs::text,
                    CASE WHEN s.new_terminal THEN 'terminal' END
                ) END
            WHERE w.case IN ('posting_missing', 'event_missing', 'old_row_missing')
            UNION ALL
            SELECT 'current_differs', names ->> 'current', s.old_current::text, s.new_current::text
            WHERE w.case = 'both'
                AND names ->> 'current' IS NOT NULL
                AND s.old_current IS DISTINCT FROM s.new_current
            UNION ALL
            SELECT 'sequence_differs', names ->> 'history', s.old_sequence::text, s.new_sequence::text
            WHERE w.case = 'both'
                AND s.old_sequence <> s.new_sequence
            UNION ALL
            SELECT
                'outputs_differ',
                names ->> 'outputs',
                (
                    SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}')::text FROM jsonb_each(s.old_outputs) e
                    WHERE s.new_outputs -> e.key IS DISTINCT FROM e.value
                ),
                (
                    SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}')::text FROM jsonb_each(s.new_outputs) e
                    WHERE s.old_outputs -> e.key IS DISTINCT FROM e.value
                )
            WHERE w.case = 'both'
                AND s.old_outputs <> s.new_outputs
            UNION ALL
            SELECT 'terminal_differs', names ->> 'terminal', s.old_terminal::text, s.new_terminal::text
            WHERE w.case = 'both'
                AND s.old_terminal <> s.new_terminal
            UNION ALL
            SELECT 'counter_differs', names ->> 'counter', s.old_counter::text, cardinality(s.new_sequence)::text
            WHERE w.case = 'both'
                AND s.old_counter <> cardinality(s.new_sequence)
        ) d
        ORDER BY s.id, d.kind;
        EXIT WHEN posting_ids IS NOT NULL;
    END LOOP;

    IF posting_ids IS NULL THEN
        RETURN QUERY
        SELECT NULL::int, 'row_unreadable', o.problem_column, o.posting_key::text, "{schema}".cutover_short(o.problem)
        FROM "{schema}".cutover_old_states o
        WHERE o.posting_key < -2147483648
            OR o.posting_key > 2147483647
        ORDER BY o.posting_key;
    END IF;
END;
$$;

COMMENT ON FUNCTION "{schema}".cutover_differences(INT[]) IS 'where the old table of the cutover and the events do not say the same';

REVOKE ALL ON FUNCTION
    "{schema}".cutover_is_accepted(INT, TEXT, TEXT, TEXT, TEXT),
    "{schema}".cutover_differences(INT[])
FROM PUBLIC;
