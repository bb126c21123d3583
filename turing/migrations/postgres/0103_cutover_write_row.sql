-- As before, but a row that cannot be read and was accepted so is written over by no event: what it says is nowhere
-- else. Columns that somebody gives are written.
CREATE OR REPLACE FUNCTION "{schema}".cutover_write_row(posting_id INT, given JSONB, parts TEXT[] DEFAULT NULL) RETURNS BOOLEAN
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- a row that a policy hides is not one that is gone
SET row_security = off
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
-- for what else the old table makes it wait for, such as a foreign key of its own
SET lock_timeout = '10ms'
AS $$
DECLARE
    nothing CONSTANT JSONB := '{}';
    cutover "{schema}".cutovers;
    steps JSONB;
    old RECORD;
    new RECORD;
    has_row BOOLEAN;
    is_left BOOLEAN := FALSE;
    part RECORD;
    written TEXT[] := '{}';
    columns TEXT[] := '{}';
    items TEXT[] := '{}';
    definitions TEXT := '';
    kept JSONB;
    kept_outputs JSONB;
    kept_history JSONB;
    statement TEXT;
    new_current TEXT;
    new_outputs JSONB;
    new_history JSONB;
    rows INT;
    told TEXT;
    code TEXT;
    broken TEXT;
    missing TEXT;
    of_table TEXT;
    of_schema TEXT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) THEN
        RETURN FALSE;
    END IF;
    steps := coalesce(nullif(cutover.mapping -> 'steps', 'null'), nothing);
    SELECT o.* INTO old
    FROM "{schema}".cutover_old_states o
    WHERE o.posting_key = cutover_write_row.posting_id;
    has_row := FOUND;
    SELECT
        p.current_conversation_id,
        coalesce(p.execution_sequence, '{}') AS sequence,
        coalesce(p.outputs, nothing) AS outputs,
        coalesce(p.is_terminal, FALSE) AS is_terminal,
        p.last_updated
    INTO new
    FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = cutover_write_row.posting_id;
    IF NOT FOUND THEN
        SELECT
            NULL::int AS current_conversation_id, '{}'::int[] AS sequence, nothing AS outputs, FALSE AS is_terminal,
            NULL::timestamptz AS last_updated
        INTO new;
    END IF;

    IF NOT has_row THEN
        IF new.current_conversation_id IS NULL AND new.sequence = '{}' AND new.outputs = nothing
            AND NOT new.is_terminal AND given = nothing
        THEN
            RETURN FALSE;
        END IF;
        written := '{current,outputs,history,terminal,counter}';
    ELSE
        -- a row that cannot be read, and that an operator has accepted so, stays as it is
        is_left := old.problem IS NOT NULL AND "{schema}".cutover_is_accepted(
            cutover_write_row.posting_id, 'row_unreadable', old.problem_column, NULL::text, "{schema}".cutover_short(old.problem)
        );
        IF is_left AND given = nothing THEN
            RETURN FALSE;
        END IF;
        written := array_remove(ARRAY[
            CASE WHEN old.problem IS NOT NULL OR old.current_conversation_id IS DISTINCT FROM new.current_conversation_id THEN 'current' END,
            CASE WHEN old.problem IS NOT NULL OR old.outputs <> new.outputs THEN 'outputs' END,
            CASE WHEN old.problem IS NOT NULL OR old.execution_sequence <> new.sequence THEN 'history' END,
            CASE WHEN old.problem IS NOT NULL OR old.is_terminal <> new.is_terminal THEN 'terminal' END,
            CASE WHEN old.problem IS NOT NULL OR old.counter <> cardinality(new.sequence) THEN 'counter' END
        ], NULL);
        IF is_left THEN
            written := '{}';
        ELSIF parts IS NOT NULL AND old.problem IS NULL THEN
            written := ARRAY(SELECT w.part FROM unnest(written) w (part) WHERE w.part = ANY (parts));
        END IF;
    END IF;

    FOR part IN
        SELECT p.key, a.attname::text AS name, t.typname::text AS type, t.typcategory = 'A' AS is_array
        FROM jsonb_each_text(cutover.mapping) p
        JOIN pg_attribute a ON a.attrelid = cutover.old_table AND a.attname = p.value AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = "{schema}".cutover_base_type(a.atttypid)
        WHERE (p.key = ANY (written) OR p.key = 'updated_at')
            AND a.attgenerated = ''
            AND NOT given ? a.attname
    LOOP
        columns := columns || part.name;
        items := items || CASE part.key
            WHEN 'current' THEN CASE WHEN part.type LIKE 'int%' THEN '$2' ELSE '$3' END
            WHEN 'outputs' THEN '$4' || CASE part.type WHEN 'jsonb' THEN '' WHEN 'json' THEN '::pg_catalog.text::pg_catalog.json' ELSE '::pg_catalog.text' END
            WHEN 'history' THEN CASE
                WHEN part.type LIKE '!_int%' ESCAPE '!' THEN '$6'
                WHEN part.is_array THEN
                    'ARRAY(SELECT h.item FROM pg_catalog.jsonb_array_elements_text($5) WITH ORDINALITY h (item, place) ORDER BY h.place)'
                ELSE '$5' || CASE part.type
                    WHEN 'jsonb' THEN '' WHEN 'json' THEN '::pg_catalog.text::pg_catalog.json' ELSE '::pg_catalog.text'
                END
            END
            WHEN 'terminal' THEN '$7'
            WHEN 'counter' THEN 'pg_catalog.cardinality($6)'
            ELSE CASE part.type WHEN 'timestamptz' THEN '$8' ELSE 'pg_catalog.timezone(''UTC''::pg_catalog.text, $8)' END
        END;
        IF has_row AND part.key IN ('outputs', 'history') THEN
            EXECUTE format(
                'SELECT %s FROM %s b WHERE b.%I = $1',
                format(CASE WHEN part.is_array THEN 'to_jsonb(b.%I)' ELSE '"{schema}".cutover_json(b.%I::text)' END, part.name),
                cutover.old_table, cutover.mapping ->> 'posting_id'
            ) INTO kept USING posting_id;
            IF part.key = 'outputs' THEN
                kept_outputs := kept;
            ELSE
                kept_history := kept;
            END IF;
        END IF;
    END LOOP;
    -- when it was written matters only if something is
    IF has_row AND given = nothing
        AND (columns = '{}' OR columns = ARRAY[cutover.mapping ->> 'updated_at'])
    THEN
        RETURN FALSE;
    END IF;
    FOR part IN
        SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type
        FROM jsonb_object_keys(given) g (name)
        JOIN pg_attribute a ON a.attrelid = cutover.old_table AND a.attname = g.name AND a.attnum > 0
    LOOP
        columns := columns || part.name;
        items := items || format('g.%I', part.name);
        definitions := definitions || format(', %I %s', part.name, part.type);
    END LOOP;

    -- whole before the path is another one: in that schema others may have functions and operators of these names
    statement := format(
        CASE
            WHEN has_row THEN 'UPDATE %1$s b SET %2$s FROM (SELECT) n %3$s WHERE b.%4$I OPERATOR(pg_catalog.=) $1'
            ELSE 'INSERT INTO %1$s (%4$I%5$s) OVERRIDING SYSTEM VALUE SELECT $1%6$s FROM (SELECT) n %3$s ON CONFLICT (%4$I) DO NOTHING'
        END,
        cutover.old_table,
        (SELECT string_agg(format('%I = %s', w.name, w.item), ', ') FROM unnest(columns, items) w (name, item)),
        CASE WHEN definitions <> '' THEN 'CROSS JOIN pg_catalog.jsonb_to_record($9) g (' || substr(definitions, 3) || ')' ELSE '' END,
        cutover.mapping ->> 'posting_id',
        (SELECT string_agg(format(', %I', w.name), '') FROM unnest(columns) w (name) WHERE w.name <> cutover.mapping ->> 'posting_id'),
        (
            SELECT string_agg(', ' || w.item, '') FROM unnest(columns, items) w (name, item)
            WHERE w.name <> cutover.mapping ->> 'posting_id'
        )
    );
    new_current := CASE cutover.forms ->> 'current'
        WHEN 'names' THEN coalesce(
            "{schema}".cutover_step_names(steps) ->> new.current_conversation_id::text,
            new.current_conversation_id::text
        )
        ELSE new.current_conversation_id::text
    END;
    new_outputs := "{schema}".cutover_outputs_form(kept_outputs, new.outputs, steps, cutover.forms ->> 'outputs');
    new_history := "{schema}".cutover_history_form(
        kept_history, new.sequence, steps, cutover.mapping ->> 'history_key', cutover.forms ->> 'history'
    );

    BEGIN
        PERFORM set_config('turing.cutover_writing', posting_id::text, TRUE);
        -- where the table's own triggers look
        PERFORM set_config('search_path', format('%I, pg_temp', cutover.old_schema), TRUE);
        EXECUTE statement USING
            posting_id,
            new.current_conversation_id,
            new_current,
            new_outputs,
            new_history,
            new.sequence,
            new.is_terminal,
            -- of a posting without events the row is written now
            coalesce(new.last_updated, pg_catalog.now()),
            given;
        GET DIAGNOSTICS rows = ROW_COUNT;
        PERFORM pg_catalog.set_config('search_path'::pg_catalog.text, 'pg_catalog, pg_temp'::pg_catalog.text, TRUE);
        PERFORM set_config('turing.cutover_writing', '', TRUE);
        IF rows = 0 AND EXISTS (
            SELECT FROM "{schema}".cutover_old_states o WHERE o.posting_key = cutover_write_row.posting_id
        ) = has_row THEN
            RAISE EXCEPTION 'a trigger keeps the row out';
        END IF;
    EXCEPTION
        WHEN lock_not_available THEN
            RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', posting_id
                USING ERRCODE = 'serialization_failure';
        WHEN transaction_rollback OR insufficient_resources THEN
            RAISE;
        WHEN OTHERS THEN
            -- without its details, which quote rows
            GET STACKED DIAGNOSTICS
                told = MESSAGE_TEXT, code = RETURNED_SQLSTATE, broken = CONSTRAINT_NAME, missing = COLUMN_NAME,
                of_table = TABLE_NAME, of_schema = SCHEMA_NAME;
            RAISE EXCEPTION 'the old row of posting % cannot be written, so nothing was: %', posting_id, told
                USING ERRCODE = 'ES010',
                    DETAIL = format('%s refuses it, by SQLSTATE %s.', cutover.old_table, code),
                    HINT = CASE
                        WHEN code = '23502' THEN format(
                            'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT …, or give the value by dual_write(…, old_row => …)',
                            cutover.old_table, missing
                        )
                        WHEN broken <> '' AND of_table <> '' THEN format(
                            'relax what refuses it: ALTER TABLE %I.%I DROP CONSTRAINT %I', of_schema, of_table, broken
                        )
                        ELSE 'mend what refuses it'
                    END || ', or end dual writing: turing cutover rollback --to created',
                    SCHEMA = coalesce(nullif(of_schema, ''), cutover.old_schema),
                    TABLE = coalesce(nullif(of_table, ''), cutover.old_name),
                    COLUMN = missing,
                    CONSTRAINT = broken;
    END;
    IF rows = 0 THEN
        -- it has come, or gone, meanwhile
        RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', posting_id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN TRUE;
END;
$$;
