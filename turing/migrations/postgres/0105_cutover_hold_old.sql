-- As before, with a cure for a row that cannot be read by which it is not lost.
CREATE OR REPLACE FUNCTION "{schema}".cutover_hold_old() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET lock_timeout = '10ms'
AS $$
DECLARE
    posting_id CONSTANT INT := NEW.aggregate_id;
    cutover "{schema}".cutovers;
    rows INT;
    held INT;
    unlike RECORD;
    missing TEXT;
    -- see cutover_hold_new
    most CONSTANT INT := current_setting('max_locks_per_transaction')::int / 2;
BEGIN
    IF TG_RELID <> '"{schema}"."{events}"'::regclass THEN
        RAISE EXCEPTION 'cutover_hold_old() is the trigger of the table of events, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF cutover.old_table IS NULL THEN
        PERFORM "{schema}".cutover_refuse_old_snapshot();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) THEN
        RETURN NEW;
    END IF;
    SELECT m.value INTO missing
    FROM jsonb_each_text(cutover.mapping) m
    WHERE m.key IN ('posting_id', 'current', 'outputs', 'history', 'terminal', 'updated_at', 'counter')
        AND m.value IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = cutover.old_table AND a.attname = m.value AND NOT a.attisdropped
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% has no column % any more, so the old row of posting % cannot be written',
            cutover.old_table, quote_ident(missing), posting_id
            USING ERRCODE = 'ES010',
                HINT = format(
                    'give it its name back: ALTER TABLE %s RENAME COLUMN … TO %I, or end dual writing: turing cutover rollback --to created',
                    cutover.old_table, missing
                );
    END IF;
    BEGIN
        EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', cutover.old_table);
    EXCEPTION
        WHEN lock_not_available THEN
            RAISE EXCEPTION 'the table % is locked by another transaction; try again', cutover.old_table
                USING ERRCODE = 'serialization_failure';
    END;
    EXECUTE format(
        'SELECT FROM %s b WHERE b.%I = $1 FOR NO KEY UPDATE SKIP LOCKED', cutover.old_table, cutover.mapping ->> 'posting_id'
    ) USING posting_id;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows = 0 THEN
        EXECUTE format(
            'SELECT FROM %s b WHERE b.%I = $1', cutover.old_table, cutover.mapping ->> 'posting_id'
        ) USING posting_id;
        GET DIAGNOSTICS rows = ROW_COUNT;
        held := CASE
            WHEN current_setting('turing.cutover_held', TRUE) ~ '^[0-9]{1,9}$' THEN current_setting('turing.cutover_held')
            ELSE '0'
        END;
        IF rows > 0 OR held < most AND NOT pg_try_advisory_xact_lock_shared(
            hashtextextended(format('turing cutover {schema} %s', posting_id), 0)
        ) THEN
            RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', posting_id
                USING ERRCODE = 'serialization_failure';
        END IF;
        IF held < most THEN
            PERFORM set_config('turing.cutover_held', (held + 1)::text, TRUE);
        END IF;
        RETURN NEW;
    END IF;

    SELECT d.* INTO unlike
    FROM "{schema}".cutover_differences(ARRAY[posting_id]) d
    WHERE d.kind <> 'counter_differs'
        AND NOT "{schema}".cutover_is_accepted(d.posting_id, d.kind, d.field, d.old, d.new)
        -- what is not written over
        AND d.kind <> ALL ("{schema}".cutover_kept_kinds(d.posting_id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the events of posting % do not have what its old row says (%), and would write over it',
            posting_id, unlike.kind
            USING ERRCODE = 'ES011',
                DETAIL = CASE unlike.kind
                    WHEN 'row_unreadable' THEN unlike.new
                    WHEN 'event_missing' THEN format('The old row: %s.', unlike.old)
                    WHEN 'posting_missing' THEN format('The old row: %s.', unlike.old)
                    ELSE format('%s is %s there, and %s by the events.', unlike.field, coalesce(unlike.old, 'null'), coalesce(unlike.new, 'null'))
                END,
                HINT = CASE unlike.kind
                    WHEN 'row_unreadable' THEN format(
                        'correct the row in %s, or leave it as it is: SELECT "{schema}".cutover_resolve(%s, %L::text, %L::text, %L::text)',
                        cutover.old_table, posting_id, unlike.kind, 'accepted', '…'
                    )
                    ELSE format(
                        'SELECT "{schema}".cutover_import(%s, NULL::text), as turing cutover backfill does for all', posting_id
                    )
                END;
    END IF;
    RETURN NEW;
END;
$$;
