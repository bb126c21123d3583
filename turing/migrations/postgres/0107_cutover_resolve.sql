-- As before, but no old row is emptied because the events say nothing of its posting: that refuses the whole. Where one
-- side is written over, both are kept in the record as they were.
--
-- A row that cannot be read is written over as a whole, and only if that is what is resolved.
CREATE OR REPLACE FUNCTION "{schema}".cutover_resolve(posting_id INT, kind TEXT, resolution TEXT, reason TEXT) RETURNS INT
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched INT[];
    chosen BIGINT[];
    one INT;
    resolved INT;
    taken TEXT[];
    unkept TEXT[];
    cutover "{schema}".cutovers;
    of_kind TEXT;
    is_unreadable BOOLEAN;
    is_written BOOLEAN;
    stood JSON;
    said JSON;
    -- null: all
    parts CONSTANT TEXT[] := CASE kind
        WHEN 'current_differs' THEN '{current}'
        WHEN 'sequence_differs' THEN '{history}'
        WHEN 'outputs_differ' THEN '{outputs}'
        WHEN 'terminal_differs' THEN '{terminal}'
        WHEN 'counter_differs' THEN '{counter}'
    END;
BEGIN
    IF resolution IS NULL OR resolution NOT IN ('from-old', 'from-events', 'accepted') THEN
        RAISE EXCEPTION 'a discrepancy is not resolved by %', coalesce(quote_literal(resolution), 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'say from-old, from-events or accepted';
    END IF;
    IF resolution = 'accepted' AND btrim(coalesce(reason, '')) = '' THEN
        RAISE EXCEPTION 'a discrepancy is accepted for a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'give one';
    END IF;
    IF NOT EXISTS (SELECT FROM "{schema}".cutovers c JOIN pg_class t ON t.oid = c.old_table) THEN
        RAISE EXCEPTION 'there is no cutover of an older system in this store'
            USING ERRCODE = 'ES009', HINT = 'turing cutover create --mapping FILE begins one';
    END IF;

    -- what no round of validation has seen yet counts, too
    IF cutover_resolve.posting_id IS NOT NULL THEN
        PERFORM "{schema}".cutover_write_down(ARRAY[cutover_resolve.posting_id], FALSE);
    END IF;
    SELECT
        coalesce(array_agg(d.discrepancy_id), '{}'),
        coalesce(array_agg(DISTINCT d.posting_id ORDER BY d.posting_id) FILTER (WHERE d.posting_id IS NOT NULL), '{}')
    INTO chosen, touched
    FROM "{schema}".cutover_discrepancies d
    WHERE d.resolved_at IS NULL
        AND (cutover_resolve.posting_id IS NULL OR d.posting_id = cutover_resolve.posting_id)
        AND (cutover_resolve.kind IS NULL OR d.kind = cutover_resolve.kind);

    IF resolution <> 'accepted' THEN
        SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
        FOREACH one IN ARRAY touched LOOP
            IF NOT "{schema}".cutover_hold(one, FALSE) THEN
                RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', one
                    USING ERRCODE = 'serialization_failure';
            END IF;
            SELECT min(d.kind) INTO of_kind
            FROM "{schema}".cutover_discrepancies d
            WHERE d.discrepancy_id = ANY (chosen)
                AND d.posting_id = one;
            is_unreadable := EXISTS (
                SELECT FROM "{schema}".cutover_old_states o
                WHERE o.posting_key = one
                    AND o.problem IS NOT NULL
            );
            IF resolution = 'from-events' THEN
                CONTINUE WHEN is_unreadable AND NOT EXISTS (
                    SELECT FROM "{schema}".cutover_discrepancies d
                    WHERE d.discrepancy_id = ANY (chosen)
                        AND d.posting_id = one
                        AND d.kind = 'row_unreadable'
                );
                IF (parts IS NULL OR parts <> '{counter}') AND "{schema}".cutover_would_empty(one) THEN
                    RAISE EXCEPTION 'the events of posting % say nothing, and would empty its old row (%)', one, of_kind
                        USING ERRCODE = 'ES012',
                            HINT = CASE
                                WHEN is_unreadable THEN format('correct the row in %s, which is imported then, or mend the mapping (turing cutover rollback --to none) and backfill', cutover.old_table)
                                ELSE format('import the row: turing cutover validate --resolve from-old --posting %s --reason TEXT', one)
                            END || format('; or accept it: turing cutover validate --resolve accept --posting %s --reason TEXT', one);
                END IF;
            END IF;
            stood := "{schema}".cutover_old_row(one);
            said := "{schema}".cutover_events_state(one);
            taken := parts;
            unkept := "{schema}".cutover_unkept_parts(one);
            -- what is accepted is none of those that are resolved
            IF parts IS NULL AND unkept IS NOT NULL AND NOT is_unreadable THEN
                taken := unkept || ARRAY(
                    SELECT "{schema}".cutover_part(d.kind)
                    FROM "{schema}".cutover_discrepancies d
                    WHERE d.discrepancy_id = ANY (chosen)
                        AND d.posting_id = one
                        AND "{schema}".cutover_part(d.kind) IS NOT NULL
                );
            END IF;
            IF resolution = 'from-old' THEN
                is_written := "{schema}".cutover_import_parts(one, NULL::text, taken);
            ELSE
                is_written := "{schema}".cutover_write_row(one, '{}'::jsonb, taken);
            END IF;
            IF is_written THEN
                -- one that differs after that, too, keeps what stood there first
                UPDATE "{schema}".cutover_discrepancies d
                SET old_row = stood, events_state = said
                WHERE d.discrepancy_id = ANY (chosen)
                    AND d.posting_id = one
                    AND d.old_row IS NULL
                    AND d.events_state IS NULL;
            END IF;
        END LOOP;
        -- those that are still there stay open
        SELECT coalesce(array_agg(d.discrepancy_id), '{}') INTO chosen
        FROM "{schema}".cutover_discrepancies d
        WHERE d.discrepancy_id = ANY (chosen)
            AND d.posting_id IS NOT NULL
            AND NOT EXISTS (
                SELECT
                FROM "{schema}".cutover_differences(ARRAY[d.posting_id]) n
                WHERE n.kind = d.kind
                    AND n.field IS NOT DISTINCT FROM d.field
                    OR d.kind = 'import_refused'
            );
    END IF;
    UPDATE "{schema}".cutover_discrepancies d
    SET resolved_at = now(),
        resolution = cutover_resolve.resolution,
        resolved_by = session_user,
        reason = cutover_resolve.reason
    WHERE d.discrepancy_id = ANY (chosen);
    GET DIAGNOSTICS resolved = ROW_COUNT;
    RETURN resolved;
END;
$$;
