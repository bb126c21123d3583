-- As before, but the places that a transaction holds are half as many as the locks that the server has set aside for
-- each transaction (max_locks_per_transaction), so that no bulk insert takes away those of others, however many rows
-- it has and how many there are at once. Beyond them the place is not held: whoever appends the first event to such
-- a posting meets the event that the old writer's trigger has appended, and waits for the end of that transaction.
CREATE OR REPLACE FUNCTION "{schema}".cutover_hold_new() RETURNS trigger
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
        OR held >= current_setting('max_locks_per_transaction')::int / 2
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

-- As before. What was accepted to differ is not taken over by a write to something else, and is over with a write
-- that makes both sides agree.
CREATE OR REPLACE FUNCTION "{schema}".cutover_old_changed() RETURNS trigger
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
    unkept TEXT[];
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
        IF old_key = new_key THEN
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
        unkept := "{schema}".cutover_unkept_parts(one::int);
        IF changed IS NOT NULL
            AND cutover.is_backfilled
            AND EXISTS (SELECT FROM "{schema}".posting_state_rows p WHERE p.posting_id = one)
        THEN
            parts := changed;
            CONTINUE WHEN parts = '{}';
        ELSIF changed IS NOT NULL AND unkept IS NOT NULL THEN
            -- what was accepted stays as it is unless this write is about it
            parts := unkept || changed;
        END IF;

        BEGIN
            PERFORM "{schema}".cutover_import_parts(one::int, source, parts);
            IF unkept IS NOT NULL THEN
                PERFORM "{schema}".cutover_note_kept(one::int);
            END IF;
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
