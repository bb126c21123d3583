-- Resolves the open discrepancies of a posting, or of all where `posting_id` is null, of one kind, or of all
-- where `kind` is null, and answers how many are resolved now:
--
--   from-old     the events take over what the old row says
--   from-events  the old row is written as the events say, also one that cannot be read
--   accepted     it stays as it is; `reason` says why
--
-- Of a kind that is about one part of the state, that part alone is taken or written: of another in which
-- they differ, too, the other side may be right.
--
-- What differs after that stays open. Whoever writes one of the rows meanwhile is not waited for: this
-- transaction has to be tried again.
CREATE FUNCTION "{schema}".cutover_resolve(posting_id INT, kind TEXT, resolution TEXT, reason TEXT) RETURNS INT
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched INT[];
    chosen BIGINT[];
    one INT;
    resolved INT;
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
        FOREACH one IN ARRAY touched LOOP
            IF NOT "{schema}".cutover_hold(one, FALSE) THEN
                RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', one
                    USING ERRCODE = 'serialization_failure';
            END IF;
            IF resolution = 'from-old' THEN
                PERFORM "{schema}".cutover_import_parts(one, NULL::text, parts);
            ELSE
                PERFORM "{schema}".cutover_write_row(one, '{}'::jsonb, parts);
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

COMMENT ON FUNCTION "{schema}".cutover_resolve(INT, TEXT, TEXT, TEXT) IS 'resolves discrepancies of the cutover: from-old, from-events or accepted';

REVOKE ALL ON FUNCTION "{schema}".cutover_resolve(INT, TEXT, TEXT, TEXT) FROM PUBLIC;
