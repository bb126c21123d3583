-- Keeps a discrepancy that was met, unless one like it is open or accepted. It writes to no row that is
-- there: writers of the old table wait for nobody here.
CREATE FUNCTION "{schema}".cutover_note(posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO "{schema}".cutover_discrepancies (posting_id, kind, field, old, new)
    SELECT d.posting_id, d.kind, d.field, d.old, d.new
    FROM (
        VALUES (
            cutover_note.posting_id, cutover_note.kind, cutover_note.field,
            "{schema}".cutover_short(cutover_note.old), "{schema}".cutover_short(cutover_note.new)
        )
    ) d (posting_id, kind, field, old, new)
    WHERE NOT "{schema}".cutover_is_accepted(d.posting_id, d.kind, d.field, d.old, d.new)
        AND NOT EXISTS (
            SELECT
            FROM "{schema}".cutover_discrepancies o
            WHERE o.resolved_at IS NULL
                AND (
                    o.posting_id = d.posting_id
                    OR o.posting_id IS NULL AND d.posting_id IS NULL AND o.old IS NOT DISTINCT FROM d.old
                )
                AND o.kind = d.kind
                AND o.field IS NOT DISTINCT FROM d.field
                AND o.new IS NOT DISTINCT FROM d.new
        );
END;
$$;

-- The same of an old row that the events did not take over: what cannot be read of it, or why else.
CREATE FUNCTION "{schema}".cutover_note_refusal(posting_id INT, told TEXT) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    strange TEXT;
    strange_column TEXT;
BEGIN
    BEGIN
        SELECT o.problem, o.problem_column INTO strange, strange_column
        FROM "{schema}".cutover_old_states o
        WHERE o.posting_key = cutover_note_refusal.posting_id;
    EXCEPTION
        -- somebody has dropped a column, and the view with it: `told` says so
        WHEN undefined_table THEN
            NULL;
    END;
    IF strange IS NOT NULL THEN
        PERFORM "{schema}".cutover_note(posting_id, 'row_unreadable'::text, strange_column, NULL::text, strange);
    ELSE
        PERFORM "{schema}".cutover_note(
            posting_id, 'import_refused'::text, (SELECT c.mapping ->> 'posting_id' FROM "{schema}".cutovers c), NULL::text, told
        );
    END IF;
END;
$$;

-- Refuses a transaction that sees the database as it was before the cutover, though its triggers are there:
-- whoever tries again sees it.
CREATE FUNCTION "{schema}".cutover_refuse_old_snapshot() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'this transaction began before the cutover, and does not see it; try again'
            USING ERRCODE = 'serialization_failure';
    END IF;
END;
$$;

-- Holds the old row of a posting until the transaction ends, or its place where there is none: who appends
-- events to the posting is refused meanwhile. Without `waits` it answers false, and holds nothing, where
-- somebody else has it.
CREATE FUNCTION "{schema}".cutover_hold(posting_id INT, waits BOOLEAN) RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    cutover "{schema}".cutovers;
    place CONSTANT BIGINT := hashtextextended(format('turing cutover {schema} %s', posting_id), 0);
    rows INT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    EXECUTE format(
        'SELECT FROM %s b WHERE b.%I = $1 FOR NO KEY UPDATE %s',
        cutover.old_table, cutover.mapping ->> 'posting_id', CASE WHEN waits THEN '' ELSE 'SKIP LOCKED' END
    ) USING posting_id;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows > 0 THEN
        RETURN TRUE;
    END IF;
    IF waits THEN
        PERFORM pg_advisory_xact_lock(place);
        RETURN TRUE;
    END IF;
    EXECUTE format(
        'SELECT FROM %s b WHERE b.%I = $1', cutover.old_table, cutover.mapping ->> 'posting_id'
    ) USING posting_id;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN rows = 0 AND pg_try_advisory_xact_lock(place);
END;
$$;

-- Takes what the old row says of a posting over into its events: an event posting_state_imported, if it says
-- something else. `parts` are those of the mapping that are taken over (current, outputs, history,
-- terminal), null for all; where there is no old row any more, a posting that was imported has not begun.
-- Answers whether there is such an event now.
--
-- Whoever calls it has the old row, or holds it.
CREATE FUNCTION "{schema}".cutover_import_parts(posting_id INT, source TEXT, parts TEXT[]) RETURNS BOOLEAN
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
        RAISE EXCEPTION 'the old row of posting % cannot be read: %', posting_id, old.problem
            USING ERRCODE = 'data_exception', HINT = format('correct that in %s, or resolve it from the events', cutover.old_table);
    END IF;
    SELECT
        p.current_conversation_id,
        coalesce(p.execution_sequence, '{}') AS sequence,
        coalesce(p.outputs, nothing) AS outputs,
        coalesce(p.is_terminal, FALSE) AS is_terminal
    INTO kept
    FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = cutover_import_parts.posting_id;
    IF NOT FOUND THEN
        SELECT NULL::int AS current_conversation_id, '{}'::int[] AS sequence, nothing AS outputs, FALSE AS is_terminal
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
        jsonb_build_object('imported_by', session_user),
        'posting'::text,
        NULL::text,
        NULL::int
    );
    RETURN TRUE;
END;
$$;

-- The same of all that is mapped. Waits for who writes the old row.
CREATE FUNCTION "{schema}".cutover_import(posting_id INT, source TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM "{schema}".cutovers c JOIN pg_class t ON t.oid = c.old_table) THEN
        PERFORM "{schema}".cutover_hold(posting_id, TRUE);
    END IF;
    RETURN "{schema}".cutover_import_parts(posting_id, source, NULL::text[]);
END;
$$;

COMMENT ON FUNCTION "{schema}".cutover_import(INT, TEXT) IS 'takes what the old table says of a posting over into its events, if it says something else';

REVOKE ALL ON FUNCTION
    "{schema}".cutover_note(INT, TEXT, TEXT, TEXT, TEXT),
    "{schema}".cutover_note_refusal(INT, TEXT),
    "{schema}".cutover_refuse_old_snapshot(),
    "{schema}".cutover_hold(INT, BOOLEAN),
    "{schema}".cutover_import_parts(INT, TEXT, TEXT[]),
    "{schema}".cutover_import(INT, TEXT)
FROM PUBLIC;
