-- What stood there before a resolution wrote one side over is kept in the record of the discrepancy: both sides,
-- whole, for a record's old and new are cut off and say what the mapping makes of a row.
--
--   old_row       the mapped columns of the old row, by their names, as they were; null where there was none
--   events_state  what the events said of the posting
--
-- Of what stays as it is, because it agrees or was accepted, both are null.
ALTER TABLE "{schema}".cutover_discrepancies ADD COLUMN old_row JSON, ADD COLUMN events_state JSON;
ALTER TABLE "{schema}".cutover_past_discrepancies ADD COLUMN old_row JSON, ADD COLUMN events_state JSON;

COMMENT ON COLUMN "{schema}".cutover_discrepancies.old_row IS 'the mapped columns of the old row before from-old or from-events wrote one side over';
COMMENT ON COLUMN "{schema}".cutover_discrepancies.events_state IS 'what the events said before from-old or from-events wrote one side over';

-- The mapped columns of an old row as they are, whether they can be read or not; null if there is no row.
CREATE FUNCTION "{schema}".cutover_old_row(posting_id INT) RETURNS JSON
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- a row that a policy hides is not one that is gone
SET row_security = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    cutover "{schema}".cutovers;
    old_row JSON;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    EXECUTE format(
        'SELECT pg_catalog.row_to_json(r) FROM (SELECT %s FROM %s b WHERE b.%I = $1) r',
        (
            SELECT string_agg(format('b.%I', a.attname), ', ' ORDER BY a.attnum)
            FROM pg_attribute a
            WHERE a.attrelid = cutover.old_table
                AND a.attnum > 0
                AND NOT a.attisdropped
                AND EXISTS (
                    SELECT FROM jsonb_each_text(cutover.mapping) m
                    WHERE m.key IN ('posting_id', 'current', 'outputs', 'history', 'terminal', 'updated_at', 'counter')
                        AND m.value = a.attname
                )
        ),
        cutover.old_table, cutover.mapping ->> 'posting_id'
    ) INTO old_row USING posting_id;
    RETURN old_row;
END;
$$;

-- What the events say of a posting now; null if it has none.
CREATE FUNCTION "{schema}".cutover_events_state(posting_id INT) RETURNS JSON
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT json_build_object(
            'current_conversation_id', p.current_conversation_id,
            'execution_sequence', coalesce(p.execution_sequence, '{}'),
            'outputs', coalesce(p.outputs, '{}'),
            'is_terminal', coalesce(p.is_terminal, FALSE)
        )
        FROM "{schema}".posting_state_projection p
        WHERE p.posting_id = cutover_events_state.posting_id
    );
END;
$$;

-- Whether what the events say of a posting would empty its old row: they say nothing, because there are none, or
-- their posting has not begun; and the row cannot be read, or says something.
CREATE FUNCTION "{schema}".cutover_would_empty(posting_id INT) RETURNS BOOLEAN
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- a row that a policy hides is not one that is gone
SET row_security = off
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM "{schema}".cutover_old_states o
        WHERE o.posting_key = cutover_would_empty.posting_id
            AND (
                o.problem IS NOT NULL
                OR o.current_conversation_id IS NOT NULL
                OR o.execution_sequence <> '{}'
                OR o.outputs <> '{}'
                OR o.is_terminal
            )
    ) AND NOT EXISTS (
        SELECT
        FROM "{schema}".posting_state_projection p
        WHERE p.posting_id = cutover_would_empty.posting_id
            AND (
                p.current_conversation_id IS NOT NULL
                OR p.execution_sequence <> '{}'
                OR p.outputs <> '{}'
                OR p.is_terminal
            )
    );
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_old_row(INT),
    "{schema}".cutover_events_state(INT),
    "{schema}".cutover_would_empty(INT)
FROM PUBLIC;

-- They are called by functions that have their owner's rights.
DO $$
DECLARE
    made REGPROCEDURE;
    of_owner REGROLE;
BEGIN
    SELECT p.proowner::regrole INTO of_owner
    FROM pg_catalog.pg_proc p
    WHERE p.oid = '"{schema}".cutover_write_old(INT[])'::regprocedure;
    FOR made IN
        SELECT p.oid::regprocedure
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname IN ('cutover_old_row', 'cutover_events_state', 'cutover_would_empty')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %s', made, of_owner);
    END LOOP;
END;
$$;
