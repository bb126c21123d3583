-- As before, with a cure for a row that cannot be read by which it is not lost; of one that was accepted so nothing is
-- taken over.
CREATE OR REPLACE FUNCTION "{schema}".cutover_import_parts(posting_id INT, source TEXT, parts TEXT[]) RETURNS BOOLEAN
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- a row that a policy hides is not one that is gone
SET row_security = off
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    nothing CONSTANT JSONB := '{}';
    cutover "{schema}".cutovers;
    old RECORD;
    kept RECORD;
    has_row BOOLEAN;
    current INT;
    sequence INT[] := '{}';
    outputs JSONB := nothing;
    is_terminal BOOLEAN := FALSE;
    is_added BOOLEAN;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) THEN
        RAISE EXCEPTION 'there is no cutover of an older system in this store'
            USING ERRCODE = 'ES009', HINT = 'turing cutover create --mapping FILE begins one';
    END IF;
    SELECT o.* INTO old
    FROM "{schema}".cutover_old_states o
    WHERE o.posting_key = cutover_import_parts.posting_id;
    has_row := FOUND;
    IF old.problem IS NOT NULL THEN
        IF "{schema}".cutover_is_accepted(
            cutover_import_parts.posting_id, 'row_unreadable', old.problem_column, NULL::text, "{schema}".cutover_short(old.problem)
        ) THEN
            RETURN FALSE;
        END IF;
        RAISE EXCEPTION 'the old row of posting % cannot be read: %', posting_id, old.problem
            USING ERRCODE = 'data_exception', HINT = format(
                'correct that in %s, which is imported then, or accept it: turing cutover validate --resolve accept --posting %s --reason TEXT',
                cutover.old_table, posting_id
            );
    END IF;
    SELECT
        p.current_conversation_id,
        coalesce(p.execution_sequence, '{}') AS sequence,
        coalesce(p.outputs, nothing) AS outputs,
        coalesce(p.is_terminal, FALSE) AS is_terminal,
        CASE WHEN p.is_terminal IS NOT TRUE THEN p.run ->> 'run_id' END AS open_in
    INTO kept
    FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = cutover_import_parts.posting_id;
    IF NOT FOUND THEN
        SELECT NULL::int AS current_conversation_id, '{}'::int[] AS sequence, nothing AS outputs, FALSE AS is_terminal,
            NULL::text AS open_in
        INTO kept;
    END IF;

    IF has_row THEN
        current := kept.current_conversation_id;
        IF cutover.mapping ->> 'current' IS NOT NULL AND (parts IS NULL OR 'current' = ANY (parts)) THEN
            current := old.current_conversation_id;
        END IF;
        sequence := kept.sequence;
        IF cutover.mapping ->> 'history' IS NOT NULL AND (parts IS NULL OR 'history' = ANY (parts)) THEN
            sequence := old.execution_sequence;
        END IF;
        outputs := kept.outputs;
        IF cutover.mapping ->> 'outputs' IS NOT NULL AND (parts IS NULL OR 'outputs' = ANY (parts)) THEN
            outputs := old.outputs;
        END IF;
        is_terminal := kept.is_terminal;
        IF cutover.mapping ->> 'terminal' IS NOT NULL AND (parts IS NULL OR 'terminal' = ANY (parts)) THEN
            is_terminal := old.is_terminal;
        END IF;
        -- of a posting that has not begun, too
        IF NOT EXISTS (
            SELECT FROM "{schema}".postings p WHERE p.posting_id = cutover_import_parts.posting_id
        ) THEN
            INSERT INTO "{schema}".postings (posting_id) VALUES (cutover_import_parts.posting_id) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    IF current IS NOT DISTINCT FROM kept.current_conversation_id
        AND sequence = kept.sequence
        AND outputs = kept.outputs
        AND is_terminal = kept.is_terminal
    THEN
        RETURN FALSE;
    END IF;
    IF NOT has_row AND NOT EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'posting'
            AND e.aggregate_id = cutover_import_parts.posting_id
            AND e.event_type = 'posting_state_imported'
    ) THEN
        RETURN FALSE;
    END IF;

    is_added := coalesce(sequence[1:cardinality(kept.sequence)], '{}') = kept.sequence
        AND kept.outputs - ARRAY(SELECT jsonb_object_keys(outputs)) = nothing;
    PERFORM "{schema}".append_event(
        'posting_state_imported'::text,
        cutover_import_parts.posting_id,
        jsonb_build_object(
            'source', coalesce(cutover_import_parts.source, format('%s.%s', cutover.old_schema, cutover.old_name)),
            'row_digest', encode(sha256(convert_to(CASE WHEN has_row THEN old.row_text ELSE '' END, 'UTF8')), 'hex'),
            'recorded_at', CASE
                WHEN has_row AND old.updated_at >= '0001-01-01 00:00:00+00' AND old.updated_at < '10000-01-01 00:00:00+00'
                THEN to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            END,
            'current_conversation_id', current,
            'is_terminal', is_terminal,
            'replaces', NOT is_added,
            'execution_sequence', to_jsonb(CASE
                WHEN is_added THEN coalesce(sequence[cardinality(kept.sequence) + 1:], '{}')
                ELSE sequence
            END),
            'outputs', CASE
                WHEN NOT is_added THEN outputs
                ELSE coalesce((
                    SELECT jsonb_object_agg(o.key, o.value)
                    FROM jsonb_each(outputs) o
                    WHERE kept.outputs -> o.key IS DISTINCT FROM o.value
                ), nothing)
            END
        ),
        jsonb_strip_nulls(jsonb_build_object('imported_by', session_user, 'run_id', kept.open_in)),
        'posting'::text,
        NULL::text,
        NULL::int
    );
    RETURN TRUE;
END;
$$;
