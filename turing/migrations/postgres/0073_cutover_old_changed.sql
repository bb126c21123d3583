-- What the old table's triggers do while both sides are written, see cutover_statements('dual-write').
-- They have the rights of the store's owner, for the old table only.

-- Before a new row, or one that gets another posting: holds the place of that posting, so that whoever
-- appends events to it is refused rather than waiting for this transaction. Where a row is there already,
-- as for INSERT … ON CONFLICT, that one is what writers wait for, and for nothing else. Beyond 256 new rows
-- of a transaction the place is not held: the server has no room for more such locks.
CREATE FUNCTION "{schema}".cutover_hold_new() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    old_key BIGINT;
    new_key BIGINT;
    held INT;
    rows INT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF TG_RELID IS DISTINCT FROM cutover.old_table THEN
        PERFORM "{schema}".cutover_refuse_old_snapshot();
        RAISE EXCEPTION 'cutover_hold_new() is the trigger of the old table of a cutover, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    BEGIN
        EXECUTE format('SELECT ($1).%I', cutover.mapping ->> 'posting_id') INTO new_key USING NEW;
        IF TG_OP = 'UPDATE' THEN
            EXECUTE format('SELECT ($1).%I', cutover.mapping ->> 'posting_id') INTO old_key USING OLD;
        END IF;
    EXCEPTION
        -- somebody has given it another name, which is told below
        WHEN undefined_column THEN
            RETURN NEW;
    END;
    held := CASE
        WHEN current_setting('turing.cutover_held', TRUE) ~ '^[0-9]{1,9}$' THEN current_setting('turing.cutover_held')
        ELSE '0'
    END;
    IF old_key IS NOT DISTINCT FROM new_key
        OR held >= 256
        OR current_setting('turing.cutover_writing', TRUE) = new_key::text
    THEN
        RETURN NEW;
    END IF;
    EXECUTE format('SELECT FROM %s b WHERE b.%I = $1', cutover.old_table, cutover.mapping ->> 'posting_id') USING new_key;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows = 0 THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(format('turing cutover {schema} %s', new_key), 0));
        PERFORM set_config('turing.cutover_held', (held + 1)::text, TRUE);
    END IF;
    RETURN NEW;
END;
$$;

-- After each row: the events take over what it says. After an UPDATE these are the parts that it has
-- changed, so that a write to another column brings nothing along that was written long before; as long as
-- the backfill is not through, or if the posting has no events, it is all. What the events do not take over
-- is kept as a discrepancy, and the write goes on.
CREATE FUNCTION "{schema}".cutover_old_changed() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    cutover "{schema}".cutovers;
    source TEXT;
    old_key BIGINT;
    new_key BIGINT;
    changed TEXT[];
    one BIGINT;
    parts TEXT[];
    state RECORD;
    told TEXT;
    detail TEXT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF TG_RELID IS DISTINCT FROM cutover.old_table THEN
        PERFORM "{schema}".cutover_refuse_old_snapshot();
        RAISE EXCEPTION 'cutover_old_changed() is the trigger of the old table of a cutover, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            EXECUTE format('SELECT ($1).%I', cutover.mapping ->> 'posting_id') INTO old_key USING OLD;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            EXECUTE format('SELECT ($1).%I', cutover.mapping ->> 'posting_id') INTO new_key USING NEW;
        END IF;
        IF old_key = new_key AND cutover.is_backfilled THEN
            EXECUTE format(
                'SELECT array_remove(ARRAY[%s]::text[], NULL)',
                (
                    SELECT string_agg(
                        format(
                            'CASE WHEN ($1).%1$I::text IS DISTINCT FROM ($2).%1$I::text THEN %2$L END',
                            cutover.mapping ->> p.key, p.key
                        ),
                        ', '
                    )
                    FROM unnest('{current,outputs,history,terminal}'::text[]) p (key)
                    WHERE cutover.mapping ->> p.key IS NOT NULL
                )
            ) INTO changed USING OLD, NEW;
        END IF;
    EXCEPTION
        -- somebody has given a column another name: the cutover stands still, and the older program does not
        WHEN undefined_column THEN
            PERFORM "{schema}".cutover_note(
                NULL::int, 'import_refused'::text, cutover.mapping ->> 'posting_id', NULL::text, SQLERRM
            );
            RETURN NULL;
    END;
    source := format('%s.%s', cutover.old_schema, cutover.old_name);

    FOREACH one IN ARRAY CASE WHEN old_key = new_key THEN ARRAY[new_key] ELSE ARRAY[old_key, new_key] END LOOP
        CONTINUE WHEN one IS NULL OR current_setting('turing.cutover_writing', TRUE) = one::text;
        IF one NOT BETWEEN -2147483648 AND 2147483647 THEN
            IF one = new_key THEN
                SELECT o.* INTO state FROM "{schema}".cutover_old_states o WHERE o.posting_key = one;
                PERFORM "{schema}".cutover_note(NULL::int, 'row_unreadable'::text, state.problem_column, one::text, state.problem);
            END IF;
            CONTINUE;
        END IF;
        parts := NULL;
        IF changed IS NOT NULL
            AND EXISTS (SELECT FROM "{schema}".posting_state_rows p WHERE p.posting_id = one)
        THEN
            parts := changed;
            CONTINUE WHEN parts = '{}';
        END IF;

        BEGIN
            PERFORM "{schema}".cutover_import_parts(one::int, source, parts);
        EXCEPTION
            -- of which trying again helps, or nothing does
            WHEN transaction_rollback OR lock_not_available OR insufficient_resources THEN
                RAISE;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
                PERFORM "{schema}".cutover_note_refusal(one::int, concat_ws('; ', told, nullif(detail, '')));
        END;
    END LOOP;
    RETURN NULL;
END;
$$;

-- Nobody would know whose rows are gone.
CREATE FUNCTION "{schema}".cutover_refuse_truncate() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the table %.% is being moved over to events, and TRUNCATE would empty it without a trace',
        quote_ident(TG_TABLE_SCHEMA), quote_ident(TG_TABLE_NAME)
        USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format(
                'DELETE FROM %I.%I, which the events take over, or end dual writing: turing cutover rollback --to created',
                TG_TABLE_SCHEMA, TG_TABLE_NAME
            );
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_hold_new(),
    "{schema}".cutover_old_changed(),
    "{schema}".cutover_refuse_truncate()
FROM PUBLIC;
